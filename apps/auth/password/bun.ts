import { costParts, type HashCost, hashCost, type Passwords, parsePhc } from "./port";

/** Bun's own argon2id: native code on its thread pool, so hashing blocks nobody else. */
export const bunPasswords = (cost: HashCost = hashCost): Passwords => ({
  ...costParts(cost),
  hash: (password) =>
    Bun.password.hash(password, { algorithm: "argon2id", memoryCost: cost.memoryKib, timeCost: cost.passes }),
  async verify(password, phc) {
    parsePhc(phc); // Bun would take other algorithms too
    return Bun.password.verify(password, phc);
  },
});
