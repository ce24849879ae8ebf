import { describe, expect, test } from "bun:test";
import { faultInfo } from "../fault";
import { testClock } from "../testing/harness";
import type { CallerName } from "../topology";
import { currentPeer } from "./peer";
import { serviceTokens } from "./service-token";

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
    const token = await serviceTokens(master, "checkout", clock).tokenFor("cart");
    expect(await serviceTokens(master, "cart", clock).callerOf(token)).toBe("checkout");
    expect(await reasonOf(serviceTokens(master, "order", clock).callerOf(token))).toBe("UNAUTHENTICATED");
  });

  test("dies after a minute, also where it was accepted before", async () => {
    const clock = testClock();
    const token = await serviceTokens(master, "checkout", clock).tokenFor("cart");
    const cart = serviceTokens(master, "cart", clock);
    expect(await cart.callerOf(token)).toBe("checkout");
    clock.advance(61);
    expect(await reasonOf(cart.callerOf(token))).toBe("UNAUTHENTICATED");
  });

  test("counts only over a connection with its caller's certificate, also where it was accepted before", async () => {
    const clock = testClock();
    const token = await serviceTokens(master, "checkout", clock).tokenFor("cart");
    const cart = serviceTokens(master, "cart", clock);
    const over = (peer: CallerName) => currentPeer.run(peer, () => cart.callerOf(token));
    expect(await over("checkout")).toBe("checkout");
    expect(await reasonOf(over("gateway"))).toBe("UNAUTHENTICATED");
    expect(await over("checkout")).toBe("checkout");
  });

  test("is accepted while the master key changes, from processes that do not have the new one yet", async () => {
    const clock = testClock();
    const next = "another master key of thirty-two characters or more";
    const cart = serviceTokens(`${next},${master}`, "cart", clock);
    const [former, newest] = await Promise.all(
      [master, next].map((key) => serviceTokens(key, "checkout", clock).tokenFor("cart")),
    );
    expect(await cart.callerOf(former!)).toBe("checkout");
    expect(await cart.callerOf(newest!)).toBe("checkout");
    expect(await reasonOf(serviceTokens(next, "cart", clock).callerOf(former!))).toBe("UNAUTHENTICATED");
    const both = await serviceTokens(`${next},${master}`, "checkout", clock).tokenFor("cart");
    expect(await serviceTokens(next, "cart", clock).callerOf(both)).toBe("checkout");
  });

  test("outside the call table, of another mall, or changed is refused", async () => {
    const clock = testClock();
    const cart = serviceTokens(master, "cart", clock);
    const outside = await serviceTokens(master, "product", clock).tokenFor("cart");
    const foreign = await serviceTokens(`${master}!`, "checkout", clock).tokenFor("cart");
    const good = await serviceTokens(master, "checkout", clock).tokenFor("cart");
    const [head, , signature] = good.split(".");
    const claims = Buffer.from(JSON.stringify({ iss: "gateway", aud: "cart", exp: 9999999999 })).toString(
      "base64url",
    );
    const none = `${Buffer.from('{"alg":"none","typ":"svc+jwt","kid":"checkout"}').toString("base64url")}.${claims}.`;
    for (const token of [outside, foreign, `${head}.${claims}.${signature}`, none, "", "a.b.c"]) {
      expect(await reasonOf(cart.callerOf(token))).toBe("UNAUTHENTICATED");
    }
  });
});
