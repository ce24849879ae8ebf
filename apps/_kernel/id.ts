/**
 * Typed, time-ordered ids after the TypeID specification 0.3 (https://github.com/jetify-com/typeid): a prefix and
 * a UUIDv7 (RFC 9562 §5.7) in Crockford base32. Columns hold the UUID, everything else the text.
 */
const prefixes = [
  "usr",
  "ses",
  "prod",
  "var",
  "cat",
  "cart",
  "chk",
  "ord",
  "pay",
  "ref",
  "hold",
  "adr",
  "key",
  "rst",
  "evt",
] as const;

export type IdPrefix = (typeof prefixes)[number];
export type Id<P extends IdPrefix = IdPrefix> = `${P}_${string}`;

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

function suffixOf(uuid: string): string {
  let value = BigInt(`0x${uuid.replaceAll("-", "")}`);
  let suffix = "";
  for (let i = 0; i < 26; i++) {
    suffix = alphabet[Number(value & 31n)] + suffix;
    value >>= 5n;
  }
  return suffix;
}

/** The typed id of a UUID. */
export const idOf = <P extends IdPrefix>(prefix: P, uuid: string): Id<P> => `${prefix}_${suffixOf(uuid)}`;

/** The UUID inside a typed id. Throws RangeError when the text is no TypeID. */
export function uuidOf(id: string): string {
  const suffix = id.slice(id.lastIndexOf("_") + 1);
  let value = 0n;
  for (const char of suffix) {
    const digit = alphabet.indexOf(char);
    if (digit < 0) throw new RangeError(`not a TypeID: ${id}`);
    value = (value << 5n) | BigInt(digit);
  }
  if (suffix.length !== 26 || value >= 2n ** 128n) throw new RangeError(`not a TypeID: ${id}`);
  const hex = value.toString(16).padStart(32, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const idPattern = new RegExp(`^(${prefixes.join("|")})_[0-7][${alphabet}]{25}$`);

/** Whether a value is a typed id. */
export const isId = (value: unknown): value is Id => typeof value === "string" && idPattern.test(value);

/** A UUIDv7 of an instant (milliseconds since the epoch) and 10 random bytes. */
export function uuidv7(
  nowMs: number,
  random: Uint8Array = crypto.getRandomValues(new Uint8Array(10)),
): string {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(nowMs) << 16n);
  bytes.set(random, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Makes new ids; a dependency, so that tests can fix it. */
export type NewId = <P extends IdPrefix>(prefix: P) => Id<P>;

/** New ids at the time of a clock. */
export const idGenerator =
  (clock: () => Date): NewId =>
  (prefix) =>
    idOf(prefix, uuidv7(clock().getTime()));
