import { createHash } from "node:crypto";
import { guessOf } from "../domain/password";

/**
 * A set of passwords as sorted digests of which only the distances are stored (a Golomb-coded set, as in
 * https://giovanni.bajo.it/post/47119962313): a bit more than `bits` bits a password. It knows all of its passwords, and
 * takes one of 2^bits others for one of them.
 */
export interface CodedPasswords {
  count: number;
  bits: number;
  /** The distances in base64: each its quotient by 2^bits as ones and a zero, then the remainder in `bits` bits. */
  coded: string;
}

type Size = Pick<CodedPasswords, "count" | "bits">;

/** Where a password stands in a set of this size. */
const placeOf = (password: string, { count, bits }: Size): number =>
  createHash("sha256").update(guessOf(password)).digest().readUIntBE(0, 6) % (count * 2 ** bits);

/** Codes a set of passwords. */
export function encodePasswords(passwords: readonly string[], bits: number): CodedPasswords {
  const size = { count: passwords.length, bits };
  const places = passwords.map((password) => placeOf(password, size)).sort((a, b) => a - b);
  const text = places
    .map((place, at) => place - (places[at - 1] ?? 0))
    .map((gap) => "1".repeat(gap >> bits) + (gap & (2 ** bits - 1)).toString(2).padStart(bits + 1, "0"))
    .join("");
  const bytes = text.match(/.{1,8}/g)!.map((byte) => Number.parseInt(byte.padEnd(8, "1"), 2));
  return { ...size, coded: Buffer.from(bytes).toString("base64") };
}

function decode({ bits, coded, count }: CodedPasswords): Set<number> {
  const bytes = Buffer.from(coded, "base64");
  let at = 0;
  const next = () => (bytes[at >> 3]! >> (7 - (at++ & 7))) & 1;
  const places = new Set<number>();
  let place = 0;
  for (let read = 0; read < count; read++) {
    while (next() === 1) place += 2 ** bits;
    let rest = 0;
    for (let bit = 0; bit < bits; bit++) rest = rest * 2 + next();
    place += rest;
    places.add(place);
  }
  return places;
}

/** Tells whether a password is in a set, which is decoded once, when it is first asked. */
export function commonPasswords(passwords: CodedPasswords): (password: string) => boolean {
  let places: Set<number> | undefined;
  return (password) => {
    places ??= decode(passwords);
    return places.has(placeOf(password, passwords));
  };
}
