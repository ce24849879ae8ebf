import { timingSafeEqual } from "node:crypto";
import { argon2idAsync } from "@noble/hashes/argon2.js";
import { costParts, formatPhc, type HashCost, hashCost, type Passwords, parsePhc } from "./port";

const derive = (password: string, salt: Uint8Array, { memoryKib, passes }: HashCost, bytes: number) =>
  argon2idAsync(password, salt, { m: memoryKib, t: passes, p: 1, dkLen: bytes });

/** argon2id in JavaScript, for Workers: yields to other requests while it works. */
export const noblePasswords = (cost: HashCost = hashCost): Passwords => ({
  ...costParts(cost),
  async hash(password) {
    const salt = crypto.getRandomValues(new Uint8Array(16));
    return formatPhc({ cost, salt, hash: await derive(password, salt, cost, 32) });
  },
  async verify(password, phc) {
    const expected = parsePhc(phc);
    const actual = await derive(password, expected.salt, expected.cost, expected.hash.length);
    return timingSafeEqual(actual, expected.hash);
  },
});
