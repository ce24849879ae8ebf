import { resolve } from "node:path";
import type { EnvSource } from "@mall/kernel/env";
import { findEmbeddedPostgres, startEmbeddedPostgres } from "@mall/kernel/postgres/embedded";

/** Folder of the embedded PostgreSQL. */
export const dataDirOf = (env: EnvSource): string => resolve(env.MALL_DATA_DIR ?? ".mall", "postgres");

export interface Database {
  url: string;
  /** Ends what was started for this process; a server that runs elsewhere goes on. */
  stop(): Promise<void>;
}

/** The database this process is the host of: DATABASE_URL, else the embedded PostgreSQL. */
export async function hostDatabase(env: EnvSource, log?: (line: string) => void): Promise<Database> {
  if (env.DATABASE_URL) return { url: env.DATABASE_URL, stop: async () => {} };
  return startEmbeddedPostgres({ dataDir: dataDirOf(env), log });
}

/** The database a command works on: DATABASE_URL, else that of the running dev instance, else started for the command. */
export async function commandDatabase(env: EnvSource): Promise<Database> {
  const running = env.DATABASE_URL ?? (await findEmbeddedPostgres(dataDirOf(env)));
  return running ? { url: running, stop: async () => {} } : hostDatabase(env);
}
