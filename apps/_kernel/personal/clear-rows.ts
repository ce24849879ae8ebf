import { sql } from "drizzle-orm";
import type { Db, Tx } from "../db/client";
import { sqlStatement } from "../db/statement";
import type { DataKeys } from "./data-keys";
import { lookupOf, nothing, rowSeal } from "./personal";

/** A table whose rows kept personal data in clear columns before there was a column `personal`. */
export interface ClearTable {
  table: string;
  /** SQL of a row's subject, a UUID. */
  subject: string;
  /** SQL of what is sealed, a JSON object; null in the place of a field leaves it out. */
  value: string;
  /** SQL of what stands in the clear columns afterwards, as `update … set` has it. */
  cleared: string;
  /** A field of what is sealed that rows are found by: where its keyed hash is stored, and the hash's name. */
  lookup?: { field: string; column: string; name: string };
}

type Lookup = NonNullable<ClearTable["lookup"]>;

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** Most rows that one transaction seals. */
const rowsAtOnce = 100;

function statements(service: string, { table, subject, value, cleared, lookup }: ClearTable) {
  const name = sql.raw(`"${service}"."${table}"`);
  const found = lookup ? `, ${lookup.column} = decode(r.lookup, 'base64')` : "";
  return {
    take: sqlStatement<object, { id: string; subject: string; value: Record<string, unknown> }>(
      () => sql`select id, ${sql.raw(subject)} as subject, jsonb_strip_nulls(${sql.raw(value)}) as value
        from ${name} where personal is null order by id limit ${sql.raw(String(rowsAtOnce))} for update skip locked`,
    ),
    replace: sqlStatement<{ rows: string }, object>(
      (
        p,
      ) => sql`update ${name} as held set personal = decode(r.personal, 'base64'), ${sql.raw(cleared + found)}
        from jsonb_to_recordset(${p.rows}::text::jsonb) as r(id uuid, personal text, lookup text) where held.id = r.id`,
    ),
    left: sqlStatement<object, { left: boolean }>(
      () => sql`select exists (select from ${name} where personal is null) as left`,
    ),
  };
}

/** Seals what is in the clear. */
export interface ClearRows {
  /**
   * Seals rows in transactions of 100 until none is left that nobody else works on, and tells how many. Several
   * processes share the work; what was sealed stays sealed when one is killed.
   */
  seal(db: Db): Promise<number>;
  /** Whether there are rows in the clear. */
  isLeft(db: Db): Promise<boolean>;
}

/** The rows of one table that are in the clear. */
export function clearRows(service: string, keys: DataKeys, clear: ClearTable): ClearRows {
  const { take, replace, left } = statements(service, clear);
  const rowsOf = rowSeal(service, clear.table);

  /** In the order of the subjects, so that two of them never wait for each other. */
  async function keysOf(tx: Tx, subjects: readonly string[]) {
    const found = new Map<string, Uint8Array | undefined>();
    for (const subject of [...new Set(subjects)].sort()) found.set(subject, await keys.keyOf(tx, subject));
    return found;
  }

  const lookupFor = (tx: Tx, { field, name }: Lookup, value: Record<string, unknown>) =>
    lookupOf(keys, tx, name, String(value[field]));

  async function sealBatch(tx: Tx): Promise<number> {
    const taken = await take(tx, {});
    if (taken.length === 0) return 0;
    const found = await keysOf(
      tx,
      taken.map(({ subject }) => subject),
    );
    const sealed = async ({ id, subject, value }: (typeof taken)[number]) => {
      const key = found.get(subject);
      if (!key) return { id, personal: base64(nothing) };
      const lookup = clear.lookup && (await lookupFor(tx, clear.lookup, value));
      return { id, personal: base64(rowsOf.seal(key, id, value)), lookup: lookup && base64(lookup) };
    };
    await replace(tx, { rows: JSON.stringify(await Promise.all(taken.map(sealed))) });
    return taken.length;
  }

  return {
    async seal(db) {
      for (let total = 0; ; ) {
        const count = await db.tx(sealBatch);
        total += count;
        if (count < rowsAtOnce) return total;
      }
    },
    isLeft: async (db) => (await left(db, {}))[0]!.left,
  };
}
