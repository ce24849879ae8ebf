import { createHmac, timingSafeEqual } from "node:crypto";
import { deriveKey } from "../crypto/derive";
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

/** The chain of a service; its keys come from the master key, so that who owns the database cannot go on with it. */
export function chainOf(service: string, masterKey: string): Chain {
  const sealKey = deriveKey(masterKey, `audit/${service}`);
  const headKey = deriveKey(masterKey, `audit-head/${service}`);
  const sign = (sequence: number, hash: Uint8Array) =>
    createHmac("sha256", headKey).update(`${sequence}|`).update(hash).digest();
  return {
    start: { sequence: 0, hash: new Uint8Array(32) },
    hashAfter: (previous, sequence, event) =>
      createHmac("sha256", sealKey)
        .update(previous)
        .update(`${sequence}|${canonical(event)}`)
        .digest(),
    sign,
    isSigned({ sequence, hash, mac }) {
      const expected = sign(sequence, hash);
      return expected.length === mac.length && timingSafeEqual(expected, mac);
    },
  };
}
