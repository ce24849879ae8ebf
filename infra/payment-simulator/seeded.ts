import { createHash } from "node:crypto";

const digest = (parts: readonly unknown[]): Buffer => createHash("sha256").update(parts.join("\0")).digest();

/** A number in [0, 1) that depends on nothing but its arguments. */
export const fraction = (...parts: unknown[]): number => digest(parts).readUInt32BE(0) / 2 ** 32;

/** A whole number of a range, both ends included; a plain number is itself. */
export function wholeOf(range: number | readonly [number, number], ...parts: unknown[]): number {
  if (typeof range === "number") return range;
  const [low, high] = range;
  return low + Math.floor(fraction(...parts) * (high - low + 1));
}

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** An id as Stripe forms them, such as pi_3 and 23 letters. */
export const idOf = (prefix: string, ...parts: unknown[]): string =>
  `${prefix}${[...digest([prefix, ...parts])]
    .slice(0, 23)
    .map((byte) => letters[byte % letters.length])
    .join("")}`;
