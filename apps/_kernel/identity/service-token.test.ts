import { describe, expect, test } from "bun:test";
import { faultInfo } from "../fault";
import { testClock } from "../testing/harness";
import { serviceTokens } from "./service-token";

const read = "/mall.cart.v1.CartService/GetCart";
const master = "a master key of at least thirty-two characters";

async function reasonOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error) => faultInfo(error)?.reason,
  );
}

describe("a service token", () => {
  test("names its caller to its callee only", async () => {
    const clock = testClock();
    const token = await serviceTokens(master, "checkout", clock).tokenFor("cart", read);
    expect(await serviceTokens(master, "cart", clock).callerOf(token, read)).toBe("checkout");
    expect(await reasonOf(serviceTokens(master, "order", clock).callerOf(token, read))).toBe(
      "UNAUTHENTICATED",
    );
  });

  test("is good for one RPC, or for events, and for nothing else", async () => {
    const clock = testClock();
    const caller = serviceTokens(master, "checkout", clock);
    const cart = serviceTokens(master, "cart", clock);
    const write = "/mall.cart.v1.CartService/LockCart";
    const token = await caller.tokenFor("cart", read);
    expect(await cart.callerOf(token, read)).toBe("checkout");
    for (const scope of [write, "/events", "forward", "", "*", `${read}/`])
      expect([scope, await reasonOf(cart.callerOf(token, scope))]).toEqual([scope, "UNAUTHENTICATED"]);
    expect(await cart.callerOf(await caller.tokenFor("cart", write), write)).toBe("checkout");
    const order = serviceTokens(master, "order", clock);
    const event = await serviceTokens(master, "payment", clock).tokenFor("order", "/events");
    expect(await order.callerOf(event, "/events")).toBe("payment");
    expect(await reasonOf(order.callerOf(event, read))).toBe("UNAUTHENTICATED");
  });

  test("of the gateway tells of clients wherever it forwards to, and nobody else's does", async () => {
    const clock = testClock();
    const cart = serviceTokens(master, "cart", clock);
    const forwarded = await serviceTokens(master, "gateway", clock).tokenFor("cart", "forward");
    expect(await cart.callerOf(forwarded, read)).toBe("gateway");
    expect(await reasonOf(cart.callerOf(forwarded, "/events"))).toBe("UNAUTHENTICATED");
    const claimed = await serviceTokens(master, "checkout", clock).tokenFor("cart", "forward");
    expect(await reasonOf(cart.callerOf(claimed, read))).toBe("UNAUTHENTICATED");
  });

  test("dies after a minute, also where it was accepted before", async () => {
    const clock = testClock();
    const token = await serviceTokens(master, "checkout", clock).tokenFor("cart", read);
    const cart = serviceTokens(master, "cart", clock);
    expect(await cart.callerOf(token, read)).toBe("checkout");
    clock.advance(61);
    expect(await reasonOf(cart.callerOf(token, read))).toBe("UNAUTHENTICATED");
  });

  test("is accepted while the master key changes, from processes that do not have the new one yet", async () => {
    const clock = testClock();
    const next = "another master key of thirty-two characters or more";
    const cart = serviceTokens(`${next},${master}`, "cart", clock);
    const [former, newest] = await Promise.all(
      [master, next].map((key) => serviceTokens(key, "checkout", clock).tokenFor("cart", read)),
    );
    expect(await cart.callerOf(former!, read)).toBe("checkout");
    expect(await cart.callerOf(newest!, read)).toBe("checkout");
    expect(await reasonOf(serviceTokens(next, "cart", clock).callerOf(former!, read))).toBe(
      "UNAUTHENTICATED",
    );
    const both = await serviceTokens(`${next},${master}`, "checkout", clock).tokenFor("cart", read);
    expect(await serviceTokens(next, "cart", clock).callerOf(both, read)).toBe("checkout");
  });

  test("outside the call table, of another mall, or changed is refused", async () => {
    const clock = testClock();
    const cart = serviceTokens(master, "cart", clock);
    const outside = await serviceTokens(master, "product", clock).tokenFor("cart", read);
    const foreign = await serviceTokens(`${master}!`, "checkout", clock).tokenFor("cart", read);
    const good = await serviceTokens(master, "checkout", clock).tokenFor("cart", read);
    const [head, , signature] = good.split(".");
    const claims = Buffer.from(JSON.stringify({ iss: "gateway", aud: "cart", exp: 9999999999 })).toString(
      "base64url",
    );
    const none = `${Buffer.from('{"alg":"none","typ":"svc+jwt","kid":"checkout"}').toString("base64url")}.${claims}.`;
    for (const token of [outside, foreign, `${head}.${claims}.${signature}`, none, "", "a.b.c"]) {
      expect(await reasonOf(cart.callerOf(token, read))).toBe("UNAUTHENTICATED");
    }
  });
});
