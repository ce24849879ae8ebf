import { guessOf } from "@mall/auth/domain/password";
import { encodePasswords } from "@mall/auth/password/common";
import { dictionary } from "@zxcvbn-ts/language-common";

/** How many of the list's passwords, which begins with the most common one, are looked at. */
const ranksMax = 10_000;
/** Characters that a password must have anyway. */
const lengthMin = 8;
/** One of 2^bits passwords that are not common is refused, too. */
const bits = 10;

/** The most common passwords that are long enough to be chosen. */
export function commonPasswordList(): string[] {
  const ranked = dictionary["passwords-common"].slice(0, ranksMax).map((word) => guessOf(String(word)));
  return [...new Set(ranked)].filter((word) => [...word].length >= lengthMin).sort();
}

if (import.meta.main) {
  const target = new URL("../gen/common-passwords.json", import.meta.url);
  await Bun.write(target, `${JSON.stringify(encodePasswords(commonPasswordList(), bits), null, 2)}\n`);
}
