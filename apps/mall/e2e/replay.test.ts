import { beforeAll, describe, expect, test } from "bun:test";
import { host, hostKind } from "./host";
import {
  aVariant,
  connect,
  guestWith,
  inStock,
  newKey,
  type Placed,
  type Problem,
  placeOrder,
  purchase,
  rest,
} from "./shop";

beforeAll(() => host());

describe(`an Idempotency-Key (${hostKind})`, () => {
  test("replays the same bytes and buys once", async () => {
    const guest = await guestWith(await inStock());
    const key = newKey();
    const first = await placeOrder(guest, "tok_ok", { key });
    const again = await placeOrder(guest, "tok_ok", { key });
    expect(first.status).toBe(201);
    expect(first.headers.get("idempotent-replayed")).toBeNull();
    expect(again.text).toBe(first.text);
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
  });

  test("replays refusals with the same bytes", async () => {
    for (const [variant, token, status] of [
      [await inStock(), "tok_declined", 402],
      [await aVariant((v) => v.trackInventory && v.available === 0), "tok_ok", 409],
    ] as const) {
      const guest = await guestWith(variant);
      const key = newKey();
      const first = await placeOrder<Problem>(guest, token, { key });
      const again = await placeOrder<Problem>(guest, token, { key });
      expect([first.status, again.status]).toEqual([status, status]);
      expect(again.text).toBe(first.text);
      expect(again.headers.get("idempotent-replayed")).toBe("true");
    }
  });

  test("with another body is refused", async () => {
    const guest = await guestWith(await inStock());
    const key = newKey();
    expect((await placeOrder(guest, "tok_ok", { key })).status).toBe(201);
    const other = await rest<Problem>("POST", "/v1/checkouts", purchase(guest.cartId, "tok_other"), {
      ...guest,
      key,
    });
    expect([other.status, other.body.reason]).toEqual([422, "IDEMPOTENCY_KEY_REUSED"]);
  });

  test("that is missing is asked for", async () => {
    const guest = await guestWith(await inStock());
    const refused = await rest<Problem>("POST", "/v1/checkouts", purchase(guest.cartId, "tok_ok"), guest);
    expect([refused.status, refused.body.reason]).toEqual([400, "IDEMPOTENCY_KEY_REQUIRED"]);
    expect(refused.body.errors).toMatchObject([{ parameter: "Idempotency-Key" }]);
  });

  test("survives the way from REST to Connect", async () => {
    const guest = await guestWith(await inStock());
    const key = newKey();
    const placed = await placeOrder(guest, "tok_ok", { key });
    const replayed = await connect<Placed>(
      "mall.checkout.v1.CheckoutService/PlaceOrder",
      purchase(guest.cartId, "tok_ok"),
      { ...guest, key },
    );
    expect([replayed.status, replayed.headers.get("idempotent-replayed")]).toEqual([200, "true"]);
    expect(replayed.body.order).toEqual(placed.body.order);
  });

  test("clicked many times at once makes one order", async () => {
    const guest = await guestWith(await inStock());
    const key = newKey();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => placeOrder<Placed & Problem>(guest, "tok_ok", { key })),
    );
    const paid = answers.filter((a) => a.status === 201);
    const others = answers.filter((a) => a.status !== 201);
    expect(paid.length).toBeGreaterThanOrEqual(1);
    expect(new Set(paid.map((a) => a.text)).size).toBe(1);
    expect(others.every((a) => a.status === 409 && a.body.reason === "IDEMPOTENCY_KEY_IN_FLIGHT")).toBe(true);
    expect(others.every((a) => a.headers.get("retry-after") !== null)).toBe(true);
  });

  test("two keys for one cart buy it once", async () => {
    const guest = await guestWith(await inStock());
    const answers = await Promise.all(Array.from({ length: 6 }, () => placeOrder<Placed & Problem>(guest)));
    expect(answers.filter((a) => a.status === 201)).toHaveLength(1);
    expect(
      answers
        .filter((a) => a.status !== 201)
        .every((a) => ["CART_LOCKED", "CART_CONVERTED"].includes(a.body.reason)),
    ).toBe(true);
  });
});
