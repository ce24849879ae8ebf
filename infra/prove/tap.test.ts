import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { stablePorts } from "../cluster/ports";
import { openTap } from "./tap";

const seen: string[] = [];
const [port, targetPort] = (await stablePorts(2)) as [number, number];
const target = Bun.serve({
  port: targetPort,
  async fetch(request) {
    seen.push(await request.text());
    return new Response(`${seen.length}`);
  },
});
const tap = openTap();
const door = tap.door("order", port, targetPort);
await door.open();

afterAll(async () => {
  tap.stop();
  await target.stop(true);
});
beforeEach(() => {
  tap.clear();
  seen.length = 0;
});

const path = "/mall.order.v1.OrderService/CreateOrder";
const cart = "cart_01m8352yfhe85rnx51xxm4tenn";
const checkout = "chk_01m8352ykeect9wf6nkk5pdd2c";
const call = (body: string, signal?: AbortSignal): Promise<string> =>
  fetch(`${door.url}${path}`, { method: "POST", body, signal }).then(
    (response) => response.text(),
    () => "lost",
  );
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(5);
}

describe("a call", () => {
  test("passes as it is without a rule", async () => {
    expect(await call("a")).toBe("1");
    expect(seen).toEqual(["a"]);
  });

  test("that is closed before is never seen; after, its answer is lost", async () => {
    const before = tap.rule({ rpc: "CreateOrder", at: "before", does: "close", times: 1 });
    expect(await call("a")).toBe("lost");
    expect([before.fired, seen]).toEqual([1, []]);
    tap.rule({ rpc: "CreateOrder", at: "after", does: "reset", times: 1 });
    expect(await call("b")).toBe("lost");
    expect(seen).toEqual(["b"]);
  });

  test("that is doubled is seen twice and answered once", async () => {
    tap.rule({ rpc: "CreateOrder", at: "after", does: "duplicate", times: 1 });
    expect(await call("a")).toBe("1");
    expect(seen).toEqual(["a", "a"]);
  });

  test("that is parked arrives when it is let go, even after its caller has gone", async () => {
    const rule = tap.rule({ rpc: "CreateOrder", at: "before", does: "park" });
    const leaving = new AbortController();
    const answer = call("late", leaving.signal);
    await until(() => rule.parked === 1);
    leaving.abort();
    expect(await answer).toBe("lost");
    await until(() => rule.parked === 0);
    expect(seen).toEqual([]);
    rule.release("deliver");
    await until(() => seen.length === 1);
    expect(seen).toEqual(["late"]);
  });

  test("that is parked stays so when its rule takes no more calls, which pass", async () => {
    const rule = tap.rule({ rpc: "CreateOrder", at: "before", does: "park" });
    const answer = call("parked");
    await until(() => rule.parked === 1);
    rule.close();
    expect(await call("beside")).toBe("1");
    expect([rule.parked, seen]).toEqual([1, ["beside"]]);
    rule.release("deliver");
    expect(await answer).toBe("2");
  });

  test("is known by the cart of its purchase, whatever id it carries", async () => {
    tap.learn();
    await call(`${cart} ${checkout}`);
    const rule = tap.rule({ rpc: "CreateOrder", at: "before", does: "close", subject: cart });
    expect(await call(checkout)).toBe("lost");
    expect(await call("chk_01m8352ykeect9wf6nkk5pdd2d")).toBe("2");
    expect(rule.fired).toBe(1);
  });
});

test("a closed door refuses, an open one does not", async () => {
  door.close();
  const refused = await fetch(door.url).then(
    () => "answered",
    (error: { code: string }) => error.code,
  );
  expect(["ECONNREFUSED", "ConnectionRefused"]).toContain(refused);
  await door.open();
  expect(await call("a")).toBe("1");
});
