import { expect, test } from "bun:test";
import { baseEnv, parseEnv } from "./env";

test("development starts with nothing set", () => {
  expect(parseEnv(baseEnv, {}).MALL_ENV).toBe("dev");
});

test("production refuses a missing, default or short master key with a sentence that names it", () => {
  const key = parseEnv(baseEnv, {}).MALL_MASTER_KEY;
  const good = "x".repeat(32);
  for (const given of [undefined, "", key, "short", `${good},short`, `${good},`, `${good},${key}`]) {
    expect(() => parseEnv(baseEnv, { MALL_ENV: "production", MALL_MASTER_KEY: given })).toThrow(
      "MALL_MASTER_KEY",
    );
  }
  for (const given of [good, `${good},${"y".repeat(32)}`]) {
    expect(parseEnv(baseEnv, { MALL_ENV: "production", MALL_MASTER_KEY: given }).MALL_ENV).toBe("production");
  }
});

test("every wrong variable is named at once", () => {
  expect(() => parseEnv(baseEnv, { LOG_LEVEL: "loud", CURRENCY: "dollars" })).toThrow(
    /LOG_LEVEL[\s\S]*CURRENCY/,
  );
});
