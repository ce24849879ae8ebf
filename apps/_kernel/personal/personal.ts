import { createHmac } from "node:crypto";
import { sealUnder } from "../crypto/seal";
import type { Session } from "../db/client";
import { type Id, uuidOf } from "../id";
import type { DataKeys } from "./data-keys";

/** Whose key it is and as what it is stored: what a row is read with, by a join or a subquery on data_keys. */
export interface StoredKey {
  subject: Id;
  /** Null or absent when the subject was erased. */
  wrapped: Uint8Array | null | undefined;
}

/** What is personal in the rows of one table, as one JSON object a row in its column `personal`. */
export interface PersonalRows<T> {
  /**
   * Seals what a row says about a subject, in the transaction that stores it; one statement. Undefined when the subject
   * was erased: nothing about it can be stored any more.
   */
  seal(tx: Session, subject: Id, row: Id, value: T): Promise<Uint8Array | undefined>;
  /** What a row says; undefined when its subject was erased. Throws for the bytes of another row or table. */
  open(key: StoredKey, row: Id, personal: Uint8Array): T | undefined;
}

/** Personal data of one service at rest. */
export interface Personal {
  /** The rows of one table. What is sealed is bound to service, table, column and row. */
  rows<T extends object>(table: string): PersonalRows<T>;
  /**
   * A keyed hash to find a value by, such as an e-mail address, under one name for each column. It stays the same when
   * the master key changes.
   */
  lookup(session: Session, column: string, value: string): Promise<Uint8Array>;
  /** Erases a subject in this service: nothing that was sealed for it can be read again, and nothing can be added. */
  erase(tx: Session, subject: Id): Promise<void>;
}

/** Seals and opens what a row says, under a key of its subject. */
export interface RowSeal {
  seal(key: Uint8Array, row: string, value: object): Uint8Array;
  open(key: Uint8Array, row: string, personal: Uint8Array): unknown;
}

/** The seal on the column `personal` of one table; rows by their UUID. */
export function rowSeal(service: string, table: string): RowSeal {
  const contextOf = (row: string) => `personal|${service}|${table}|personal|${row}`;
  return {
    seal: (key, row, value) => sealUnder([key]).seal(Buffer.from(JSON.stringify(value)), contextOf(row)),
    open: (key, row, personal) => JSON.parse(sealUnder([key]).open(personal, contextOf(row)).toString()),
  };
}

/** What a row of a subject holds that was erased before it was sealed. */
export const nothing = new Uint8Array(0);

/** A keyed hash of a value of one column, under the service's own key. */
export async function lookupOf(
  keys: DataKeys,
  session: Session,
  column: string,
  value: string,
): Promise<Uint8Array> {
  const key = await keys.ownKey(session, `lookup|${column}`);
  return createHmac("sha256", key).update(value).digest();
}

/** Personal data of a service under its data keys. */
export function personalData(service: string, keys: DataKeys): Personal {
  return {
    rows<T extends object>(table: string): PersonalRows<T> {
      const rows = rowSeal(service, table);
      return {
        async seal(tx, subject, row, value) {
          const key = await keys.keyOf(tx, uuidOf(subject));
          return key && rows.seal(key, uuidOf(row), value);
        },
        open({ subject, wrapped }, row, personal) {
          if (!wrapped || personal.length === 0) return undefined;
          return rows.open(keys.unwrap(uuidOf(subject), wrapped), uuidOf(row), personal) as T;
        },
      };
    },
    lookup: (...what) => lookupOf(keys, ...what),
    erase: (tx, subject) => keys.destroy(tx, uuidOf(subject)),
  };
}
