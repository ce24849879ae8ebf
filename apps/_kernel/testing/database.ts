import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { migrate } from "../db/migrate";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../postgres/embedded";
import { serviceNames } from "../topology";
import { atEnd } from "./cleanup";

let embedded: Promise<EmbeddedPostgres> | undefined;
let template: Promise<{ server: string; name: string }> | undefined;

async function serverUrl(): Promise<string> {
  const given = process.env.DATABASE_URL;
  if (given) return given;
  embedded ??= startEmbedded();
  return (await embedded).url;
}

async function startEmbedded(): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    dataDir: join(tmpdir(), `mall-test-${process.pid}`),
    fsync: false,
  });
  atEnd(async () => {
    await server.stop();
    await rm(server.dataDir, { recursive: true, force: true });
  });
  return server;
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

async function admin<T>(url: string, run: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await run(sql);
  } finally {
    await sql.end();
  }
}

const dropDatabase = (server: string, name: string): Promise<void> =>
  admin(server, async (sql) => {
    await sql.unsafe(`drop database if exists ${name} with (force)`);
  });

async function makeTemplate() {
  const server = await serverUrl();
  const name = `mall_template_${process.pid}_${randomBytes(3).toString("hex")}`;
  await admin(server, (sql) => sql.unsafe(`create database ${name}`));
  await migrate(withDatabase(server, name), serviceNames);
  atEnd(() => dropDatabase(server, name));
  return { server, name };
}

/** A database without any table. Drop it with `drop`. */
export async function emptyDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const server = await serverUrl();
  const name = `mall_test_${randomBytes(6).toString("hex")}`;
  await admin(server, (sql) => sql.unsafe(`create database ${name}`));
  return { url: withDatabase(server, name), drop: () => dropDatabase(server, name) };
}

/**
 * A migrated database of the suite's own, copied from a template, on the embedded PostgreSQL of the test process or
 * on DATABASE_URL. Drop it with `drop`.
 */
export async function testDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  template ??= makeTemplate();
  const { server, name: from } = await template;
  const name = `mall_test_${randomBytes(6).toString("hex")}`;
  await admin(server, (sql) => sql.unsafe(`create database ${name} template ${from}`));
  return {
    url: withDatabase(server, name),
    drop: () => dropDatabase(server, name),
  };
}
