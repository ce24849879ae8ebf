import { createHash } from "node:crypto";
import { clone, type DescMessage, isMessage, type Message, toBinary } from "@bufbuild/protobuf";

/** Entries of maps in the order of their keys, in place: a message written to binary keeps the order it finds. */
function sortMaps(value: unknown): void {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  if (!isMessage(value) && !Array.isArray(value)) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [key] of entries) delete (value as Record<string, unknown>)[key];
    Object.assign(value, Object.fromEntries(entries));
  }
  for (const inner of Object.values(value)) sortMaps(inner);
}

/**
 * SHA-256 of what a request means, the same on every surface: fields in the order of their numbers, implicit defaults
 * and absent fields alike, maps in the order of their keys, without fields that the contract does not know.
 */
export function fingerprintOf(desc: DescMessage, message: Message): Uint8Array {
  const canonical = clone(desc, message);
  sortMaps(canonical);
  const bytes = toBinary(desc, canonical, { writeUnknownFields: false });
  return createHash("sha256").update(bytes).digest();
}
