import { describe, expect, test } from "bun:test";
import { isPattern, matchesPattern } from "./pattern";

const cancel = "/v1/orders/{order_id}/cancel";
const list = "/mall.order.v1.OrderService/ListOrders";

describe("a pattern", () => {
  test.each([
    ["/v1/orders/*/cancel", cancel, true],
    ["/v1/orders/*", cancel, false],
    ["/v1/orders/**", cancel, true],
    ["/v1/orders/*/cancel/**", cancel, true],
    ["/v1/orders/*/*/*", cancel, false],
    ["/v1/ord*/*/can*", cancel, true],
    ["/v1/order/**", cancel, false],
    ["/**", cancel, true],
    ["/**", list, true],
    ["/mall.order.v1.OrderService/*", list, true],
    ["/mall.order.v1.OrderService/List*", list, true],
    ["/mall.order.v1.OrderService/Get*", list, false],
    ["/mall.order.v1.*/ListOrders", list, true],
    ["/mall.order.v1.OrderService/ListOrder", list, false],
    ["/v1/orders/ord_01jd8x5v6mfkr9q3w7t2y4b6nc/cancel", cancel, false],
    ["/v1/orders/{order_id}/cancel", cancel, false],
    ["/V1/orders/*/cancel", cancel, false],
  ])("%s and %s: %p", (pattern, name, matches) => expect(matchesPattern(pattern, name)).toBe(matches));

  test("has a form; what has none is refused", () => {
    const good = ["/v1", "/**", "/*", "/v1/*/items/**", "/mall.cart.v1.CartService/Get*"];
    expect(good.filter((text) => !isPattern(text))).toEqual([]);
    const bad = [
      "",
      "/",
      "v1",
      "/v1//x",
      "/v1/",
      "/**/x",
      "/v1/***",
      "/a*b",
      "/{id}",
      "/v1 ",
      "/v1\n",
      `/${"a".repeat(200)}`,
    ];
    expect(bad.filter(isPattern)).toEqual([]);
  });

  test("that is hostile costs time that grows with its length and no faster", () => {
    // a million segments a side: anything quadratic takes minutes, anything exponential for ever
    const segments = 1_000_000;
    const startedMs = performance.now();
    expect(matchesPattern(`${"/a*".repeat(segments)}/b`, "/aaaa".repeat(segments + 1))).toBe(false);
    expect(matchesPattern(`${"/*".repeat(segments)}/**`, "/".repeat(segments))).toBe(false);
    expect(matchesPattern("/a*", `/${"a".repeat(segments)}`)).toBe(true);
    expect(isPattern(`${"/a*".repeat(60)}!`)).toBe(false);
    expect(isPattern(`/${"a".repeat(190)}!`)).toBe(false);
    expect(isPattern(`${"/*".repeat(segments)}!`)).toBe(false);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });
});
