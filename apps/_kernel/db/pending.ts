import { readFileSync } from "node:fs";
import postgres from "postgres";
import { within } from "../concurrency";
import type { ServiceName } from "../topology";

interface Entry {
  when: number;
  tag: string;
}

const journalOf = (service: ServiceName): Entry[] => {
  const file = new URL(`../../../db/migrations/${service}/meta/_journal.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { entries: Entry[] }).entries;
};

/** When the last migration of a service was made that a database has had; 0 for none. */
async function lastOf(sql: postgres.Sql, service: ServiceName): Promise<number> {
  const [table] = await sql`select to_regclass(${`migrations."${service}"`}) is not null as exists`;
  if (!table?.exists) return 0;
  const [row] = await sql`select coalesce(max(created_at), 0)::text as last from migrations.${sql(service)}`;
  return Number(row!.last);
}

/**
 * Migrations of these services that a database has not had, as `product/0004_name`, by the rule of the migrator: what is
 * newer than the last one applied. Changes nothing; rejects when the database does not answer within 10 s.
 */
export async function pendingMigrations(
  url: string,
  services: readonly ServiceName[],
  patienceMs = 10_000,
): Promise<string[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const compare = async () => {
    const pending: string[] = [];
    for (const service of services) {
      const last = await lastOf(sql, service);
      pending.push(
        ...journalOf(service).flatMap(({ when, tag }) => (when > last ? [`${service}/${tag}`] : [])),
      );
    }
    return pending;
  };
  try {
    return await within(patienceMs, "the database", compare());
  } finally {
    await sql.end({ timeout: 1 });
  }
}
