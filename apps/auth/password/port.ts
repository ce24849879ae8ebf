/** Costs of argon2id (RFC 9106): memory in KiB and passes; parallelism is 1. */
export interface HashCost {
  memoryKib: number;
  passes: number;
}

/** What new hashes cost; hashes that cost something else are replaced at the next login. */
export const hashCost: HashCost = { memoryKib: 19_456, passes: 2 };

/** Hashes passwords as PHC strings of argon2id. One driver a runtime; each verifies what the others made. */
export interface Passwords {
  /** The PHC string of a password, with a new random salt. */
  hash(password: string): Promise<string>;
  /** Whether a password is the one of a PHC string. Rejects when the text is no PHC string of argon2id. */
  verify(password: string, phc: string): Promise<boolean>;
  /** Whether a PHC string has the costs that new hashes get. */
  isCurrent(phc: string): boolean;
  /** A hash that no password has, as costly to verify as a real one: for accounts that do not exist. */
  readonly decoy: string;
}

const headerOf = ({ memoryKib, passes }: HashCost) => `$argon2id$v=19$m=${memoryKib},t=${passes},p=1$`;

/** The parts of a driver that follow from the costs alone. */
export const costParts = (cost: HashCost): Pick<Passwords, "isCurrent" | "decoy"> => ({
  isCurrent: (phc) => phc.startsWith(headerOf(cost)),
  decoy: `${headerOf(cost)}${"A".repeat(43)}$${"A".repeat(43)}`,
});

/** A PHC string in its parts. */
export interface Phc {
  cost: HashCost;
  salt: Uint8Array;
  hash: Uint8Array;
}

const phcPattern =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=1\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})$/;

/** Reads a PHC string of argon2id, version 19, one lane. Throws Error when it is none. */
export function parsePhc(text: string): Phc {
  const match = phcPattern.exec(text);
  if (!match) throw new Error("the stored password hash is no PHC string of argon2id");
  const [, memory, passes, salt, hash] = match as unknown as [string, string, string, string, string];
  return {
    cost: { memoryKib: Number(memory), passes: Number(passes) },
    salt: new Uint8Array(Buffer.from(salt, "base64")),
    hash: new Uint8Array(Buffer.from(hash, "base64")),
  };
}

/** Writes a PHC string of argon2id; its base64 has no padding. */
export const formatPhc = ({ cost, salt, hash }: Phc): string => {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64").replaceAll("=", "");
  return `${headerOf(cost)}${text(salt)}$${text(hash)}`;
};
