import { describe, expect, test } from "bun:test";
import type { HashCost, Passwords } from "./port";

const cheap: HashCost = { memoryKib: 64, passes: 1 };
/** A hash of "correct horse" made by OpenSSL (crypto.argon2Sync of Node 24), which is neither driver. */
const foreign =
  "$argon2id$v=19$m=19456,t=2,p=1$ZWRnZW1hbGwtdmVjdG9yLQ$oQK4CLcJpsim0KvXS0xR0Kin8gS23GJVuSlrid3jmTE";

/** What every driver of the password port must do. */
export function passwordContract(name: string, make: (cost: HashCost) => Passwords): void {
  describe(`passwords by ${name}`, () => {
    const passwords = make(cheap);

    test("are verified by their own hash only", async () => {
      const phc = await passwords.hash("correct horse");
      expect(phc).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$[A-Za-z0-9+/]{22,}\$[A-Za-z0-9+/]{43}$/);
      expect(await passwords.verify("correct horse", phc)).toBe(true);
      expect(await passwords.verify("correct horsf", phc)).toBe(false);
      expect(await passwords.verify("", phc)).toBe(false);
    });

    test("get a new salt each time", async () => {
      expect(await passwords.hash("correct horse")).not.toBe(await passwords.hash("correct horse"));
    });

    test("may be long and hold any character", async () => {
      const long = "pässwörd🔑\u0000".repeat(12);
      expect(await passwords.verify(long, await passwords.hash(long))).toBe(true);
      expect(await passwords.verify(long.slice(0, -1), await passwords.hash(long))).toBe(false);
    });

    test("are verified against a hash that another implementation made", async () => {
      expect(await passwords.verify("correct horse", foreign)).toBe(true);
      expect(await passwords.verify("correct horses", foreign)).toBe(false);
    });

    test("tell whether a hash has the costs of new ones", async () => {
      const phc = await passwords.hash("correct horse");
      expect(passwords.isCurrent(phc)).toBe(true);
      expect(make({ memoryKib: 128, passes: 1 }).isCurrent(phc)).toBe(false);
      expect(make({ memoryKib: 64, passes: 2 }).isCurrent(phc)).toBe(false);
    });

    test("never match the decoy, which costs as much as a real hash", async () => {
      expect(passwords.isCurrent(passwords.decoy)).toBe(true);
      expect(await passwords.verify("", passwords.decoy)).toBe(false);
      expect(await passwords.verify("correct horse", passwords.decoy)).toBe(false);
    });

    test("refuse a stored text that is no PHC string of argon2id", async () => {
      const bcrypt = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
      for (const stored of ["", "correct horse", bcrypt, foreign.replace("argon2id", "argon2i")]) {
        await expect(passwords.verify("correct horse", stored)).rejects.toThrow("no PHC string");
      }
    });
  });
}
