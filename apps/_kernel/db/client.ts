import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { fault } from "../fault";
import { isCallerGone, watched } from "./cancellation";

/** A connection of postgres.js, or one transaction on it. */
export type Sql = postgres.Sql | postgres.TransactionSql;

/** Where statements run: outside a transaction (each commits alone) or inside one. */
export interface Session {
  readonly sql: Sql;
  /** Drizzle on this session, for statements that are not hot enough to prepare. */
  readonly orm: PostgresJsDatabase;
}

/** A session inside a transaction. */
export interface Tx extends Session {
  readonly inTransaction: true;
}

/** The only door to PostgreSQL. */
export interface Db extends Session {
  /**
   * Runs `fn` in one transaction (READ COMMITTED). Serialization failures and deadlocks (40001, 40P01) are tried
   * again, 3 times at most, so `fn` must have no effect outside the database.
   */
  tx<T>(fn: (tx: Tx) => Promise<T>): Promise<T>;
  /** Closes the connections. */
  close(): Promise<void>;
}

export interface ConnectOptions {
  url: string;
  /** Role the connection drops to (`mall_<service>`); none when the URL's user has it already. */
  role?: string;
  /** Most connections at once. */
  max?: number;
  applicationName?: string;
  /**
   * Who sets role and limits: this connection as it starts, or, behind a pooler that shares its connections, the login
   * in the database (`alter role … set …`), and nothing is sent. Default "startup".
   */
  settings?: "startup" | "login";
}

/**
 * Opens postgres.js as every host uses it: limits on time, the service's role, Drizzle's own type parsers. There is no
 * `max_pipeline`: the driver forgets that a BEGIN which reaches it reserves the connection, and runs the statements of
 * others inside that transaction, which nobody commits.
 */
export function connect(options: ConnectOptions): postgres.Sql {
  const user = decodeURIComponent(new URL(options.url).username);
  const settings = {
    statement_timeout: 10_000,
    lock_timeout: 5_000,
    idle_in_transaction_session_timeout: 15_000,
    ...(options.role && options.role !== user ? { role: options.role } : {}),
  };
  // the driver's types do not know it
  const pipeline: object = { max_pipeline: Number.MAX_SAFE_INTEGER };
  return postgres(options.url, {
    ...pipeline,
    max: options.max ?? 10,
    fetch_types: false,
    connect_timeout: 5,
    idle_timeout: 60,
    onnotice: () => {},
    connection: {
      application_name: options.applicationName ?? "mall",
      ...(options.settings === "login" ? {} : settings),
    },
  });
}

/** SQLSTATE or socket error code of a database error, also when Drizzle wrapped it. */
export const databaseCode = (error: unknown): string => {
  const { code, cause } = error as { code?: string; cause?: { code?: string } };
  return code ?? cause?.code ?? "";
};

const retryable = new Set(["40001", "40P01"]);

/**
 * Whether a statement was cancelled although its caller is still there: the request to cancel another one came when
 * that had ended, and the connection was working for us. It left nothing behind.
 */
export const isMistaken = (error: unknown): boolean =>
  databaseCode(error) === "57014" &&
  String((error as Error).message).includes("user request") &&
  !isCallerGone();

/** Whether a statement failed only because of what ran beside it, and left nothing behind. */
export const lostRace = (error: unknown): boolean => retryable.has(databaseCode(error)) || isMistaken(error);

type Watch = <S extends Sql>(sql: S) => S;

/** A connection whose queries are cancelled when the caller they run for has gone; the driver's own are not. */
const watching = <S extends Sql>(sql: S): S =>
  new Proxy(sql, {
    get: (target, name) =>
      name === "unsafe"
        ? (...args: Parameters<Sql["unsafe"]>) => watched(() => target.unsafe(...args))
        : Reflect.get(target, name),
  });

/** A transaction's session; Drizzle looks for the parsers on the client, and postgres.js keeps them on the pool only. */
function sessionOf(tx: postgres.TransactionSql, options: postgres.Sql["options"], watch: Watch): Tx {
  const sql = watch(Object.assign(tx, { options }));
  return {
    sql,
    get orm() {
      return ormOf(sql as unknown as Sql);
    },
    inTransaction: true,
  };
}

/** Errors of a statement whose connection has ended, or is about to: the driver then rejects the transaction itself. */
const cut = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "ECONNRESET",
  "EPIPE",
  "ERR_STREAM_DESTROYED",
]);

/**
 * Runs `fn` without ever ending when its connection was cut. On an end postgres.js would send ROLLBACK: with no socket
 * left that is an exception nobody can catch, and it ends the process.
 */
async function untilCut<T>(fn: () => Promise<T>): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    if (cut.has(databaseCode(error))) return new Promise<never>(() => {});
    throw error;
  }
}

async function transact<T>(sql: postgres.Sql, watch: Watch, fn: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return (await sql.begin((tx) => untilCut(() => fn(sessionOf(tx, sql.options, watch))))) as T;
    } catch (error) {
      if (attempt < 3 && lostRace(error)) continue;
      throw error;
    }
  }
}

const orms = new WeakMap<Sql, PostgresJsDatabase>();

function ormOf(sql: Sql): PostgresJsDatabase {
  const known = orms.get(sql);
  if (known) return known;
  const made = drizzle(sql as postgres.Sql);
  orms.set(sql, made);
  return made;
}

/**
 * A Db over whatever connection `current` gives: a pool on Bun, the request's own connection on Workers. `watch` is put
 * around each session.
 */
export function createDb(
  current: () => postgres.Sql,
  close: () => Promise<void>,
  watch: Watch = (sql) => sql,
): Db {
  const watchedPools = new WeakMap<postgres.Sql, postgres.Sql>();
  const connected = () => {
    const pool = current();
    const known = watchedPools.get(pool);
    if (known) return known;
    const sql = watch(pool);
    watchedPools.set(pool, sql);
    ormOf(sql); // sets the parsers that Drizzle's columns expect, before the first statement
    return sql;
  };
  return {
    get sql() {
      return connected();
    },
    get orm() {
      return ormOf(connected());
    },
    tx: (fn) => transact(connected(), watch, fn),
    close,
  };
}

/** A Db with a pool of its own, for Bun; what runs for a caller who goes away is cancelled. */
export function openDb(options: ConnectOptions): Db {
  const sql = connect(options);
  return createDb(
    () => sql,
    () => sql.end({ timeout: 5 }),
    watching,
  );
}

const busy = new Set([
  ...cut,
  ...["55P03", "57014", "53300", "53100", "57P01", "57P02", "57P03"],
  ...["CONNECT_TIMEOUT", "CONNECTION_ENDED", "ECONNREFUSED"],
]);

/** Turns an unreachable, full or blocked database into a 503 the client may retry; other errors stay as they are. */
export function databaseFault(error: unknown): unknown {
  if (!busy.has(databaseCode(error))) return error;
  return fault("unavailable", "DATABASE_UNAVAILABLE", "The database cannot take the request at the moment.", {
    retryAfterSeconds: 1,
    cause: error,
  });
}
