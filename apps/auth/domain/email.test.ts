import { describe, expect, test } from "bun:test";
import { normalEmail } from "./email";

describe("an e-mail address", () => {
  const forms: [string, string][] = [
    ["ada@example.com", "ada@example.com"],
    ["  Ada.Lovelace@Example.COM\n", "ada.lovelace@example.com"],
    ["ada+shop@example.com", "ada+shop@example.com"],
    ["ada@bücher.example", "ada@xn--bcher-kva.example"],
    ["ada@BU\u0308CHER.example", "ada@xn--bcher-kva.example"],
    ["ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"],
    ["jose\u0301@example.com", "jos\u00e9@example.com"],
    ["JOS\u00c9@example.com", "jos\u00e9@example.com"],
    ["ada@localhost", "ada@localhost"],
    ["\u212aim@example.com", "kim@example.com"],
    ["ada@\uff45xample.com", "ada@example.com"],
    ["\u0430da@example.com", "\u0430da@example.com"],
    ["ada@\u0430pple.example", "ada@xn--pple-43d.example"],
    ["a.d.a@example.com", "a.d.a@example.com"],
    ["ada@example.com\u00a0", "ada@example.com"],
  ];
  for (const [written, stored] of forms) {
    test(`${JSON.stringify(written)} is stored as ${stored}`, () => {
      expect(normalEmail(written)).toBe(stored);
      expect(normalEmail(stored)).toBe(stored);
    });
  }

  const none = [
    ...["", "@", "ada", "ada@", "@example.com", "ada@@example.com", "ada@x@example.com", "a da@example.com"],
    ...[
      "ada@exam ple.com",
      "ada@example.com:80",
      "ada@example.com/path",
      "ada@example.com?q",
      "ada@user:pw@host",
    ],
    ...[
      "ada@[127.0.0.1]",
      "ada@127.0.0.1",
      "ada@0x7f.1",
      "ada@1",
      "ada@example..com",
      "ada@.com",
      "ada@example.com.",
    ],
    ...[
      "a\u0000da@example.com",
      "a\u200bda@example.com",
      "a\u202eda@example.com",
      "\ud800@example.com",
      "ada@%65xample.com",
      "\uff41da@example.com",
      "\ufb01n@example.com",
      "\u{1d41a}da@example.com",
    ],
    ...[`${"a".repeat(243)}@example.com`, `ada@${"ü".repeat(70)}.example`],
  ];
  for (const text of none) {
    test(`${JSON.stringify(text).slice(0, 40)} is none`, () => expect(normalEmail(text)).toBeUndefined());
  }
});
