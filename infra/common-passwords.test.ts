import { expect, test } from "bun:test";
import { commonPasswords, encodePasswords } from "@mall/auth/password/common";
import generated from "@mall/gen/common-passwords.json";
import { commonPasswordList } from "./common-passwords";

const list = commonPasswordList();
const isCommon = commonPasswords(generated);

test("every password of the list is known, in any case, and the list is long enough for OWASP ASVS", () => {
  expect(list.length).toBeGreaterThan(3_000);
  expect(list.filter((password) => !isCommon(password))).toEqual([]);
  expect(list.filter((password) => !isCommon(password.toUpperCase()))).toEqual([]);
});

test("of others one in a thousand is taken for one of them", () => {
  const taken = Array.from({ length: 50_000 }, (_, i) => `no common password ${i}`).filter(isCommon).length;
  expect(taken).toBeGreaterThan(10);
  expect(taken).toBeLessThan(150);
});

test("a set is what was put in, however few bits it is coded with", () => {
  const words = ["horse", "battery", "staple", "correct"];
  for (const bits of [4, 8, 16, 20]) {
    const isIn = commonPasswords(encodePasswords(words, bits));
    expect(words.filter((word) => !isIn(word))).toEqual([]);
  }
  expect(commonPasswords(encodePasswords(words, 20))("another")).toBe(false);
});
