import type { Db, Sql } from "../db/client";

/** A database with what is sent to it counted. */
export interface CountedDb {
  db: Db;
  /** Statements so far, those in transactions too. */
  statements(): number;
  /** Transactions so far. */
  transactions(): number;
}

/** Counts what a service sends to its database. */
export function counted(db: Db): CountedDb {
  let statements = 0;
  let transactions = 0;
  const counting: ProxyHandler<Sql> = {
    get(target, name) {
      if (name === "unsafe") statements++;
      return Reflect.get(target, name) as unknown;
    },
  };
  return {
    statements: () => statements,
    transactions: () => transactions,
    db: {
      get sql() {
        return new Proxy(db.sql, counting);
      },
      get orm() {
        return db.orm;
      },
      tx(run) {
        transactions++;
        return db.tx((tx) =>
          run({
            sql: new Proxy(tx.sql, counting),
            get orm() {
              return tx.orm;
            },
            inTransaction: true,
          }),
        );
      },
      close: () => db.close(),
    },
  };
}
