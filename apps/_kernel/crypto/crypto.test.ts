import { expect, test } from "bun:test";
import { derivedSecrets } from "./derive";
import { sealer } from "./seal";

const master = "a master key of at least thirty-two characters";

test("a derived secret is the same again, and only for its own kind, id and generation", () => {
  const secrets = derivedSecrets(master);
  const secret = secrets.secretOf("cart", "cart_1", 1);
  expect(secrets.secretOf("cart", "cart_1", 1)).toBe(secret);
  expect(Buffer.from(secret, "base64url")).toHaveLength(32);
  expect(secrets.isSecretOf(secret, "cart", "cart_1", 1)).toBe(true);
  for (const [kind, id, generation] of [
    ["order", "cart_1", 1],
    ["cart", "cart_2", 1],
    ["cart", "cart_1", 2],
  ] as const) {
    expect(secrets.isSecretOf(secret, kind, id, generation)).toBe(false);
  }
  expect(secrets.isSecretOf("", "cart", "cart_1", 1)).toBe(false);
  expect(derivedSecrets(`${master}!`).isSecretOf(secret, "cart", "cart_1", 1)).toBe(false);
});

test("a sealed value opens only whole, with its context and its key", () => {
  const seal = sealer(master, "test");
  const sealed = seal.seal(Buffer.from("secret"), "row 1");
  expect(seal.open(sealed, "row 1").toString()).toBe("secret");
  expect(sealed.includes("secret")).toBe(false);
  expect(() => seal.open(sealed, "row 2")).toThrow();
  expect(() => sealer(master, "other").open(sealed, "row 1")).toThrow();
  sealed[sealed.length - 1]! ^= 1;
  expect(() => seal.open(sealed, "row 1")).toThrow();
});

test("after a change of the master key what the former one made is good, and the new one makes", () => {
  const next = "another master key of thirty-two characters or more";
  const [former, both] = [`${master}`, `${next}, ${master}`];
  const secret = derivedSecrets(former).secretOf("cart", "cart_1", 1);
  expect(derivedSecrets(both).isSecretOf(secret, "cart", "cart_1", 1)).toBe(true);
  expect(derivedSecrets(next).isSecretOf(secret, "cart", "cart_1", 1)).toBe(false);
  expect(derivedSecrets(both).secretOf("cart", "cart_1", 1)).toBe(
    derivedSecrets(next).secretOf("cart", "cart_1", 1),
  );
  const sealed = sealer(former, "test").seal(Buffer.from("secret"), "row 1");
  expect(sealer(both, "test").open(sealed, "row 1").toString()).toBe("secret");
  expect(() => sealer(both, "test").open(sealed, "row 2")).toThrow();
  expect(() => sealer(next, "test").open(sealed, "row 1")).toThrow();
  const anew = sealer(both, "test").seal(Buffer.from("secret"), "row 1");
  expect(sealer(next, "test").open(anew, "row 1").toString()).toBe("secret");
});
