import { expect, test } from "bun:test";
import { baseEnv, parseEnv } from "./env";

test("development starts with nothing set", () => {
  expect(parseEnv(baseEnv, {}).MALL_ENV).toBe("dev");
});

test("production refuses a missing, default or short master key with a sentence that names it", () => {
  const key = parseEnv(baseEnv, {}).MALL_MASTER_KEY;
  for (const given of [undefined, "", key, "short"]) {
    expect(() => parseEnv(baseEnv, { MALL_ENV: "production", MALL_MASTER_KEY: given })).toThrow(
      "MALL_MASTER_KEY",
    );
  }
  expect(parseEnv(baseEnv, { MALL_ENV: "production", MALL_MASTER_KEY: "x".repeat(32) }).MALL_ENV).toBe(
    "production",
  );
});

test("every wrong variable is named at once", () => {
  expect(() => parseEnv(baseEnv, { LOG_LEVEL: "loud", CURRENCY: "dollars" })).toThrow(
    /LOG_LEVEL[\s\S]*CURRENCY/,
  );
});
