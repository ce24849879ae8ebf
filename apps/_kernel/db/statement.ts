import { type Placeholder, SQL, fillPlaceholders, sql } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/postgres-js";
import { isId, uuidOf } from "../id";
import type { Session } from "./client";

/** A Drizzle database without a connection, to write statements with. */
export const orm = drizzle.mock();

/** A placeholder for each parameter of a statement. */
export type Params<P> = { readonly [K in keyof P]: Placeholder & SQL };

interface Prepared {
  execute(values: Record<string, unknown>): Promise<unknown>;
}
interface Builder<R> {
  prepare(name: string): { execute(values?: Record<string, unknown>): Promise<R> };
}
type Unsafe = (text: string, params: unknown[]) => unknown;

const placeholders = new Proxy(
  {},
  { get: (_, name) => sql.placeholder(String(name)) },
);
const dialect = new PgDialect();

/** Comparisons take placeholders without a column's encoder, so ids and times are encoded before. */
const encoded = (params: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, isId(value) ? uuidOf(value) : value instanceof Date ? value.toISOString() : value]),
  );

/**
 * A named statement: written once with Drizzle (or as raw `sql`), compiled at its first use, and run on any session,
 * where postgres.js keeps it prepared. Parameters that are typed ids become UUIDs. Drizzle's own prepared queries are bound to the session they were built on,
 * which would run them outside a transaction.
 *
 *     const findOrder = statement("find_order", (p: Params<{ id: string }>) =>
 *       orm.select().from(orders).where(eq(orders.id, p.id)));
 *     const [row] = await findOrder(tx, { id });
 */
export function statement<P extends object, R>(
  name: string,
  build: (params: Params<P>) => Builder<R>,
): (session: Session, params: P) => Promise<R> {
  let compiled: object | undefined;
  return async (session, params) => {
    compiled ??= build(placeholders as Params<P>).prepare(name) as object;
    const client = { unsafe: ((text, values) => session.sql.unsafe(text, values as never[], { prepare: true })) as Unsafe };
    const bound = Object.create(compiled, { client: { value: client } }) as Prepared;
    return (await bound.execute(encoded(params))) as R;
  };
}

/** A named statement in SQL text, for what Drizzle's builder cannot say. Rows come as the driver
 * parses them under Drizzle: bigint and times as text. */
export function sqlStatement<P extends object, R extends object>(
  build: (params: Params<P>) => SQL,
): (session: Session, params: P) => Promise<R[]> {
  let compiled: { sql: string; params: unknown[] } | undefined;
  return async (session, params) => {
    compiled ??= dialect.sqlToQuery(build(placeholders as Params<P>));
    // Drizzle switches off the driver's own Date serializer
    const values = fillPlaceholders(compiled.params, params as Record<string, unknown>).map((value) =>
      value instanceof Date ? value.toISOString() : value,
    );
    return (await session.sql.unsafe(compiled.sql, values as never[], { prepare: true })) as unknown as R[];
  };
}
