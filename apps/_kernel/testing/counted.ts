import type { Db, Sql } from "../db/client";

/** A database with what is sent to it counted. */
export interface CountedDb {
  db: Db;
  /** Statements so far, those in transactions too. */
  statements(): number;
  /** Transactions so far. */
  transactions(): number;
}

/** What the relay sends after a commit, at times of its own. */
const isOfRelay = (text: string): boolean => /"outbox"/.test(text) && !/insert into \S*"outbox"/.test(text);

/** Counts what a service sends to its database, without what its relay does. */
export function counted(db: Db): CountedDb {
  let statements = 0;
  let transactions = 0;
  const counting: ProxyHandler<Sql> = {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (name !== "unsafe") return value;
      return (text: string, ...more: unknown[]) => {
        if (!isOfRelay(text)) statements++;
        return (value as (...all: unknown[]) => unknown).call(target, text, ...more);
      };
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
