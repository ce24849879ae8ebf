import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate as drizzleMigrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import type { ServiceName } from "../topology";

const lockKey = 7_134_001;
const folderOf = (service: ServiceName) =>
  fileURLToPath(new URL(`../../../db/migrations/${service}`, import.meta.url));

const auditLog = ["audit_events", "audit_seals", "audit_heads"];

/** Tables, beside the audit log, that their service may only read and append to. */
const appendOnly: Partial<Record<ServiceName, readonly string[]>> = {
  auth: ["config_revisions", "policy_revisions"],
  product: ["stock_movements"],
  order: ["order_events"],
};

function grants(service: ServiceName): string {
  const role = `mall_${service}`;
  return [
    `do $$ begin if not exists (select from pg_roles where rolname = '${role}') then create role ${role} nologin; end if; end $$`,
    `grant ${role} to current_user`,
    `grant usage on schema "${service}" to ${role}`,
    `grant select, insert, update, delete on all tables in schema "${service}" to ${role}`,
    `grant usage on schema migrations to ${role}`,
    `grant select on migrations."${service}" to ${role}`,
    `grant usage on all sequences in schema "${service}" to ${role}`,
    ...[...auditLog, ...(appendOnly[service] ?? [])].map(
      (table) => `revoke update, delete on "${service}".${table} from ${role}`,
    ),
  ].join(";\n");
}

/**
 * Brings the schemas of these services up to date under one advisory lock and gives each service's role its rights:
 * no DDL and no other schema. `url` is the owner's. Safe to run by several processes at once.
 */
export async function migrate(url: string, services: readonly ServiceName[]): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql`select pg_advisory_lock(${lockKey})`;
    for (const service of services) {
      await drizzleMigrate(drizzle(sql), {
        migrationsFolder: folderOf(service),
        migrationsSchema: "migrations",
        migrationsTable: service,
      });
      await sql.unsafe(grants(service));
    }
  } finally {
    await sql.end();
  }
}
