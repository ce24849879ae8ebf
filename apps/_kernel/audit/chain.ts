import { createHmac, timingSafeEqual } from "node:crypto";
import { deriveKeys } from "../crypto/derive";
import type { AuditRow } from "./event";

/** An end of a chain: its last sequence number, the hash there, and our signature over both. */
export interface Head {
  sequence: number;
  hash: Uint8Array;
  mac: Uint8Array;
}

/** The chain of one service's audit log under its keys. */
export interface Chain {
  /** What stands before the first event. */
  readonly start: { sequence: number; hash: Uint8Array };
  /** HMAC-SHA256 over the hash before, the sequence number and the whole event. */
  hashAfter(previous: Uint8Array, sequence: number, event: AuditRow): Buffer;
  /** Whether that is this hash, under the newest master key or a former one. */
  isHashAfter(hash: Uint8Array, previous: Uint8Array, sequence: number, event: AuditRow): boolean;
  sign(sequence: number, hash: Uint8Array): Buffer;
  isSigned(head: Head): boolean;
}

/** One text for one event: every field, in a fixed order, with metadata in the order of its names. */
function canonical(event: AuditRow): string {
  const { id, at, action, outcome, reason, actor_kind, actor_id, subject, request_id, client_address } =
    event;
  const metadata = Object.entries(JSON.parse(event.metadata) as object).sort(([a], [b]) => (a < b ? -1 : 1));
  const who = [actor_kind, actor_id, subject, request_id, client_address];
  return JSON.stringify([id, at, action, outcome, reason, ...who, metadata]);
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

/** The chain of a service; its keys come from the master key, so that who owns the database cannot go on with it. */
export function chainOf(service: string, masterKey: string): Chain {
  const sealKeys = deriveKeys(masterKey, `audit/${service}`);
  const headKeys = deriveKeys(masterKey, `audit-head/${service}`);
  const hashUnder = (key: Uint8Array, previous: Uint8Array, sequence: number, event: AuditRow) =>
    createHmac("sha256", key)
      .update(previous)
      .update(`${sequence}|${canonical(event)}`)
      .digest();
  const signUnder = (key: Uint8Array, sequence: number, hash: Uint8Array) =>
    createHmac("sha256", key).update(`${sequence}|`).update(hash).digest();
  return {
    start: { sequence: 0, hash: new Uint8Array(32) },
    hashAfter: (...link) => hashUnder(sealKeys[0]!, ...link),
    isHashAfter: (hash, ...link) => sealKeys.some((key) => same(hashUnder(key, ...link), hash)),
    sign: (sequence, hash) => signUnder(headKeys[0]!, sequence, hash),
    isSigned: ({ sequence, hash, mac }) => headKeys.some((key) => same(signUnder(key, sequence, hash), mac)),
  };
}
