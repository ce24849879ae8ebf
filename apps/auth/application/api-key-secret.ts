import { createHash } from "node:crypto";

const random = (bytes: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes)));

/** A prefix that no other key has: 48 random bits as 12 characters. */
export const newPrefix = (): string => random(6).toString("hex");

/** 256 random bits, as 43 characters. */
export const newSecret = (): string => random(32).toString("base64url");

/** What is stored of a secret. */
export const hashOf = (secret: string): Uint8Array => createHash("sha256").update(secret).digest();
