import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mall, newAdmin } from "./command";
import { hostKind } from "./host";
import { guestWith, inStock, type Options, type Problem, placeOrder, rest } from "./shop";

let admin: Options;
beforeAll(async () => {
  admin = await newAdmin();
});
afterAll(() => rest("DELETE", "/v1/config/checkout.open", undefined, admin));

const set = (key: string, value: string) => rest("PUT", `/v1/config/${key}`, { value }, admin);

/** Waits until a question has an answer, no longer than a change may take to act and a moment more. */
async function within1s(isTrue: () => Promise<boolean>): Promise<boolean> {
  for (const until = performance.now() + 2_500; performance.now() < until; ) if (await isTrue()) return true;
  return false;
}

describe(`settings (${hostKind})`, () => {
  test("act within a second, and purchases go on when they are taken back", async () => {
    const variant = await inStock();
    const refused = async () => {
      const { status, body, headers } = await placeOrder<Problem>(await guestWith(variant));
      return status === 503 && body.reason === "CHECKOUT_CLOSED" && headers.get("retry-after") === "60";
    };
    const bought = async () => (await placeOrder(await guestWith(variant))).status === 201;
    expect(await bought()).toBe(true);
    expect((await set("checkout.open", "false")).status).toBe(200);
    expect(await within1s(refused)).toBe(true);
    expect(await refused()).toBe(true);
    expect((await rest("DELETE", "/v1/config/checkout.open", undefined, admin)).status).toBe(200);
    expect(await within1s(bought)).toBe(true);
  });

  test("are refused when they cannot be read, and tell what they have to be", async () => {
    const loud = await rest<Problem>("PUT", "/v1/config/log.level", { value: "loud" }, admin);
    expect(loud).toMatchObject({
      status: 400,
      body: { reason: "VALIDATION", errors: [{ pointer: "#/value" }] },
    });
    expect((await set("no.such", "1")).status).toBe(404);
    expect((await rest("GET", "/v1/config", undefined)).status).toBe(401);
  });

  test("are read, set, listed and taken back by command", async () => {
    const before = Number(/revision (\d+)/.exec((await mall("config", "get")).text)![1]);
    expect(await mall("config", "set", "checkout.concurrency", "17")).toMatchObject({ exitCode: 0 });
    expect((await mall("config", "get", "checkout.concurrency")).text).toContain("checkout.concurrency = 17");
    expect(await mall("config", "set", "checkout.concurrency", "many")).toMatchObject({ exitCode: 1 });
    expect(await mall("config", "rollback", String(before))).toMatchObject({ exitCode: 0 });
    expect((await mall("config", "get", "checkout.concurrency")).text).toContain("(not set)");
    const [newest, last] = (await mall("config", "history")).text.split("\n");
    expect(newest).toContain("command  checkout.concurrency = (not set)");
    expect(last).toContain("command  checkout.concurrency = 17");
    expect(await mall("config", "get", "no.such")).toMatchObject({ exitCode: 2 });
  });
});
