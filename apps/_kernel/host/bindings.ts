import type { EnvSource } from "../env";

/** What workerd gives a handler, as far as we use it. */
export interface ExecutionContext {
  waitUntil(work: Promise<unknown>): void;
}

/** Bindings of a Worker: texts, service bindings and the database. */
export type WorkerEnv = Record<string, unknown> & { DB?: { connectionString: string } };

/** The bindings that are texts: variables and secrets. */
export const textsOf = (env: WorkerEnv): EnvSource =>
  Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
