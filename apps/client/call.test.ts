import { describe, expect, test } from "bun:test";
import { type Fault, faultOf } from "./fault";
import { operation } from "./operation";
import { mallRest } from "./rest";
import { patience } from "./retry";
import { impatient, type Refusal, type Step, scripted, surfaces } from "./testing";

const url = "http://mall.test";
const away: Refusal = { code: "unavailable", status: 503, reason: "SERVICE_UNAVAILABLE" };
const declined: Refusal = { code: "failed_precondition", status: 402, reason: "PAYMENT_DECLINED" };
const inFlight: Refusal = {
  code: "aborted",
  status: 409,
  reason: "IDEMPOTENCY_KEY_IN_FLIGHT",
  retryAfter: "1",
};
const locked: Refusal = { code: "aborted", status: 409, reason: "CART_LOCKED" };
const outOfStock: Refusal = {
  code: "failed_precondition",
  status: 409,
  reason: "OUT_OF_STOCK",
  metadata: { variantId: "var_1" },
};

const keysOf = (requests: Request[]) => requests.map(({ headers }) => headers.get("idempotency-key"));
const reasonOf = (call: Promise<unknown>) =>
  call.then(
    () => "no error",
    (error) => faultOf(error)?.reason,
  );

describe.each(Object.entries(surfaces))("on %s", (_, surface) => {
  const mall = (...steps: Step[]) => {
    const { fetch, requests } = scripted(steps);
    const { retry, waits } = impatient();
    return { ...surface({ url, fetch, retry }), requests, waits };
  };

  test("what is safe is repeated after no answer, a broken one, a proxy's and a passing refusal", async () => {
    for (const step of ["drop", "break", "html", away] as const) {
      const { list, requests } = mall(step);
      await list();
      expect(requests).toHaveLength(2);
    }
  });

  test("what the contract does not call repeatable is sent once", async () => {
    for (const step of ["drop", "break", "html", away, { ...away, retryAfter: "1" }] as const) {
      const { add, requests } = mall(step);
      expect(await reasonOf(add())).toBe(typeof step === "string" ? "NO_ANSWER" : "SERVICE_UNAVAILABLE");
      expect(requests).toHaveLength(1);
    }
  });

  test("a refusal that does not pass is not repeated", async () => {
    const { list, place, requests } = mall(locked, outOfStock);
    expect(await reasonOf(list())).toBe("CART_LOCKED");
    expect(await reasonOf(place())).toBe("OUT_OF_STOCK");
    expect(requests).toHaveLength(2);
  });

  test("waits grow, are random, and are not less than Retry-After", async () => {
    const { list, waits } = mall(away, { ...away, retryAfter: "3" }, "drop");
    await list();
    expect(waits).toEqual([100, 3_200, 400]);
  });

  test("it gives up after some requests, and at once when the mall asks for more patience than it has", async () => {
    const { list, requests, waits } = mall(...Array<Step>(9).fill("drop"));
    expect(await reasonOf(list())).toBe("NO_ANSWER");
    expect([requests.length, waits.length]).toEqual([patience.attemptsMax, patience.attemptsMax - 1]);
    const busy = mall({ ...away, retryAfter: "11" });
    expect(await reasonOf(busy.list())).toBe("SERVICE_UNAVAILABLE");
    expect(busy.waits).toEqual([]);
  });

  test("a call has one key in all its requests, another call another one, and what needs none has none", async () => {
    const { list, add, place, requests } = mall("drop", away, inFlight);
    await place();
    const keys = keysOf(requests);
    expect(keys).toHaveLength(4);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    await place();
    expect(keysOf(requests)[4]).not.toBe(keys[0]);
    await list();
    await add();
    expect(keysOf(requests).slice(5)).toEqual([null, null]);
  });

  test("the caller's own key and secrets are left as they are", async () => {
    const { fetch, requests } = scripted([]);
    const secrets = () => ({ cartSecret: "cart", orderSecret: "order" });
    const { place } = surface({ url, fetch, secrets });
    await place({ headers: { "Idempotency-Key": "mine", "X-Order-Secret": "other" } });
    const names = ["idempotency-key", "x-cart-secret", "x-order-secret"];
    expect(names.map((name) => requests[0]!.headers.get(name))).toEqual(["mine", "cart", "other"]);
  });

  test("an operation keeps its key until the mall has answered it", async () => {
    const early: Refusal = { code: "unauthenticated", status: 401, reason: "UNAUTHENTICATED" };
    const { place, requests } = mall(...Array<Step>(4).fill("drop"), early, declined);
    const buy = operation();
    expect(await reasonOf(buy(place))).toBe("NO_ANSWER");
    expect(await reasonOf(buy(place))).toBe("UNAUTHENTICATED");
    expect(await reasonOf(buy(place))).toBe("PAYMENT_DECLINED");
    await buy(place);
    await buy(place);
    const [first, ...others] = [...new Set(keysOf(requests))];
    expect(keysOf(requests)).toEqual([...Array(6).fill(first), ...others]);
    expect(others).toHaveLength(2);
  });

  test("an operation whose first request is still worked on keeps its key", async () => {
    const { place, requests } = mall(...Array<Step>(4).fill(inFlight));
    const buy = operation();
    expect(await reasonOf(buy(place))).toBe("IDEMPOTENCY_KEY_IN_FLIGHT");
    await buy(place);
    expect(new Set(keysOf(requests)).size).toBe(1);
    expect(new Set(await Promise.all(requests.map((request) => request.text()))).size).toBe(1);
  });

  test("a fault tells what the mall said", async () => {
    const { place } = mall(outOfStock);
    const fault = await place().catch((error) => faultOf<"PlaceOrder">(error));
    expect(fault).toMatchObject({
      reason: "OUT_OF_STOCK",
      message: "It is OUT_OF_STOCK.",
      metadata: { variantId: "var_1" },
      requestId: "request-1",
      isFinal: true,
    });
    expect(faultOf(new TypeError("a bug of the page"))).toBeUndefined();
  });

  test("each request has an id, and a fault names that of its own", async () => {
    const { add, list, requests } = mall("drop", "ok", "html");
    const ids = () => requests.map(({ headers }) => headers.get("x-request-id"));
    for (const step of [0, 2]) {
      const fault = await add().catch((error) => faultOf<"AddItem">(error));
      expect((fault as Fault).requestId).toBe(ids()[step]!);
      await list();
    }
    expect(new Set(ids()).size).toBe(ids().length);
    expect(ids()[0]).toMatch(/^[0-9a-f-]{36}$/);
    await list({ headers: { "X-Request-Id": "mine" } });
    expect(ids().at(-1)).toBe("mine");
  });

  test("a call that was cancelled, or whose time is over, is not repeated", async () => {
    const controller = new AbortController();
    const fetch = (async () => {
      controller.abort();
      throw new TypeError("the connection was closed");
    }) as unknown as typeof globalThis.fetch;
    const { retry, waits } = impatient();
    const { list } = surface({ url, fetch, retry });
    expect(await reasonOf(list({ signal: controller.signal }))).toBe("CANCELED");
    const hanging = ((_input: unknown, init?: RequestInit) =>
      new Promise((_, reject) => {
        init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      })) as unknown as typeof globalThis.fetch;
    const late = surface({ url, fetch: hanging, retry, timeoutMs: 20 });
    expect(await reasonOf(late.list())).toBe("TIMEOUT");
    expect(waits).toEqual([]);
  });

  test("a wait ends when its call does", async () => {
    const { fetch, requests } = scripted([{ ...away, retryAfter: "9" }]);
    const { list } = surface({ url, fetch, timeoutMs: 50 });
    expect(await reasonOf(list())).toBe("TIMEOUT");
    expect(requests).toHaveLength(1);
  });

  test("Retry-After may be a date", async () => {
    const { list, waits } = mall({ ...away, retryAfter: new Date(Date.now() + 5_000).toUTCString() });
    await list();
    expect(waits[0]).toBeGreaterThan(3_000);
    expect(waits[0]).toBeLessThan(5_200);
  });
});

test("reasons are typed by their RPC: what it never says does not compile", () => {
  const fault = faultOf<"ListProducts">(new Error());
  // @ts-expect-error nothing is declined when products are listed
  expect(fault?.reason === "PAYMENT_DECLINED").toBe(false);
  // @ts-expect-error no reason is spelt so
  expect(faultOf(new Error())?.reason === "OUT_OFF_STOCK").toBe(false);
});

test("openapi-fetch's own way is kept: a refusal is its error, and the response has the fault", async () => {
  const { fetch } = scripted([outOfStock]);
  const { error, response } = await mallRest({ url, fetch }).GET("/v1/products");
  expect(error?.reason).toBe("OUT_OF_STOCK");
  expect(faultOf<"ListProducts">(response)).toMatchObject({ metadata: { variantId: "var_1" } });
});
