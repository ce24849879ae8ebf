import { DrizzleQueryError, is, Param, Placeholder, type SQL, sql } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/postgres-js";
import { isId, uuidOf } from "../id";
import { isMistaken, type Session } from "./client";

/** A Drizzle database without a connection, to write statements with. */
export const orm = drizzle.mock();

/** A placeholder for each parameter of a statement. */
export type Params<P> = { readonly [K in keyof P]: Placeholder & SQL };

interface Builder<R> {
  prepare(name: string): { execute(values?: Record<string, unknown>): Promise<R> };
}

const placeholders = new Proxy({}, { get: (_, name) => sql.placeholder(String(name)) });
const dialect = new PgDialect();
const prepared = { prepare: true, simple: false } as { prepare: true };

/** Text for everything the driver would have to guess: the server's description of the statement decides. */
function encode(value: unknown): unknown {
  if (value === undefined) throw new TypeError("undefined is no SQL value");
  if (typeof value === "bigint") return String(value);
  return value instanceof Date ? value.toISOString() : value;
}

/** A value of a comparison: Drizzle's builder leaves it without its column's encoder. */
const compared = (value: unknown): unknown => (isId(value) ? uuidOf(value) : encode(value));

/** Values in the order of the statement; `encodeBare` does those without a column's encoder. */
function fill(
  params: readonly unknown[],
  values: object,
  encodeBare: (value: unknown) => unknown,
): unknown[] {
  return params.map((param) => {
    const mark = is(param, Param) ? param.value : param;
    if (!is(mark, Placeholder)) return encode(param);
    const value = (values as Record<string, unknown>)[mark.name];
    if (value === null || !is(param, Param)) return encodeBare(value);
    return encode(param.encoder.mapToDriverValue(value));
  });
}

/** Runs a statement of its own again when it was cancelled by mistake; in a transaction, that as a whole is. */
async function unmistaken<T>(session: Session, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if ("inTransaction" in session || !isMistaken(error)) throw error;
    return run();
  }
}

/**
 * A named statement: written once with Drizzle, compiled at its first use, and run on any session, where postgres.js
 * keeps it prepared. Typed ids in comparisons become UUIDs. Drizzle's own prepared queries are bound to the session
 * they were built on, which would run them outside a transaction.
 *
 *     const findOrder = statement("find_order", (p: Params<{ id: string }>) =>
 *       orm.select().from(orders).where(eq(orders.id, p.id)));
 *     const [row] = await findOrder(tx, { id });
 */
export function statement<P extends object, R>(
  name: string,
  build: (params: Params<P>) => Builder<R>,
): (session: Session, params: P) => Promise<R> {
  let compiled: { params: unknown[] } | undefined;
  return async (session, params) => {
    compiled ??= build(placeholders as Params<P>).prepare(name) as unknown as { params: unknown[] };
    const client = { unsafe: (text: string, values: never[]) => session.sql.unsafe(text, values, prepared) };
    const bound = Object.create(compiled, {
      client: { value: client },
      params: { value: fill(compiled.params, params, compared) },
    });
    return unmistaken(session, async () => {
      try {
        return (await bound.execute({})) as R;
      } catch (error) {
        // Drizzle's wrapper prints all parameters and hides the SQLSTATE
        throw error instanceof DrizzleQueryError ? error.cause : error;
      }
    });
  };
}

/**
 * A statement in SQL text, for what Drizzle's builder cannot say. Text stays text: pass UUIDs by uuidOf. Rows come as
 * the driver parses them under Drizzle: bigint and times as text.
 */
export function sqlStatement<P extends object, R extends object>(
  build: (params: Params<P>) => SQL,
): (session: Session, params: P) => Promise<R[]> {
  let compiled: { sql: string; params: unknown[] } | undefined;
  return async (session, params) => {
    compiled ??= dialect.sqlToQuery(build(placeholders as Params<P>));
    const { sql: text, params: marks } = compiled;
    const values = fill(marks, params, encode) as never[];
    const run = async () => (await session.sql.unsafe(text, values, prepared)) as unknown as R[];
    return unmistaken(session, run);
  };
}
