import { beforeEach, describe, expect, test } from "bun:test";
import { type Cart, CartState } from "@mall/gen/mall/cart/v1/cart_pb";
import { uuidOf } from "@mall/kernel/id";
import type { As } from "@mall/kernel/testing/harness";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { cartSuite } from "./testing";

const { mall, client, checkout, guest, read } = cartSuite();
beforeEach(() => {
  mall().clock.advance(1);
});

const staff = (): As => ({
  user: { id: mall().newId("usr"), roles: ["staff"] },
  idempotencyKey: crypto.randomUUID(),
});

interface Terms {
  minor?: bigint;
  limit?: number;
  /** Seconds from now. */
  ends?: number;
}

/** A new coupon. */
async function coupon({ minor = 300n, limit = 10, ends }: Terms = {}): Promise<string> {
  const code = `C${crypto.randomUUID().slice(0, 8).toUpperCase()}`;
  const seconds = BigInt(mall().clock().getTime() / 1000 + (ends ?? 0));
  await client(staff()).createCoupon({
    ...{ code, amount: { currency: "USD", minor }, redemptionLimit: limit },
    expiresAt: ends === undefined ? undefined : { seconds },
  });
  return code;
}

/** A guest's cart with so many units at 10.00. */
const filled = (quantity = 1) => guest(quantity > 0 ? [[mall().newId("var"), quantity]] : []);

const apply = async (cart: { cartId: string; as: As }, code: string): Promise<Cart> =>
  (await client(cart.as).applyCoupon({ cartId: cart.cartId, code })).cart!;

const redeem = (code: string, checkoutId: string) => checkout().redeemCoupon({ code, checkoutId });
const release = (checkoutId: string) => checkout().releaseCoupon({ checkoutId });

async function rest(verb: string, path: string, as: As, body?: unknown) {
  const headers = await mall().headers(as);
  headers.set("content-type", "application/json");
  const request = new Request(`http://cart${path}`, { method: verb, headers, body: JSON.stringify(body) });
  const response = await mall().app.fetch(request);
  const text = await response.text();
  // biome-ignore lint/suspicious/noExplicitAny: bodies are looked at field by field
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) as any };
}

/** Whether each coupon counts exactly the redemptions that stand. */
async function checkBooks(): Promise<void> {
  const wrong = await mall().db.sql.unsafe(
    `select c.code from cart.coupons c left join cart.redemptions r on r.code = c.code and r.state = 'redeemed'
     group by c.code having c.redeemed <> count(r.checkout_id) or c.redeemed > c.redemption_limit`,
  );
  expect([...wrong]).toEqual([]);
}

const redeemedOf = async (code: string) => (await client(staff()).getCoupon({ code })).coupon!.redeemed;

describe("creating a coupon", () => {
  const terms = { code: "Spring-26", amount: { currency: "USD", minor: "500" }, redemptionLimit: 3 };

  test("stores its code in upper case, and it is read in any case", async () => {
    const expiresAt = "2027-01-01T00:00:00Z";
    const created = await rest("POST", "/v1/coupons", staff(), { ...terms, expiresAt });
    expect(created.status).toBe(201);
    expect(created.body.coupon).toEqual({
      ...{ ...terms, code: "SPRING-26", redeemed: 0, expiresAt },
      createdAt: expect.stringMatching(/^2026-01-01T00:00:/),
    });
    const found = await rest("GET", "/v1/coupons/spring-26", staff());
    expect([found.status, found.body]).toEqual([200, created.body]);
    expect((await rest("GET", "/v1/coupons/SUMMER", staff())).body.reason).toBe("COUPON_NOT_FOUND");
  });

  test("of a code that exists is refused, in any case and at the same moment", async () => {
    await coupon();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        rest("POST", "/v1/coupons", staff(), { ...terms, code: n % 2 ? "race" : "RACE" }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(19).fill(409)]);
    const reasons = answers.filter(({ status }) => status === 409).map(({ body }) => body.reason);
    expect(new Set(reasons)).toEqual(new Set(["COUPON_CODE_TAKEN"]));
  });

  test("answers a repeated key with the same bytes and creates once", async () => {
    const as = staff();
    const body = { ...terms, code: "AGAIN" };
    const first = await rest("POST", "/v1/coupons", as, body);
    const again = await rest("POST", "/v1/coupons", as, body);
    expect([again.status, again.text]).toEqual([201, first.text]);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    const other = await rest("POST", "/v1/coupons", as, { ...body, redemptionLimit: 4 });
    expect([other.status, other.body.reason]).toEqual([422, "IDEMPOTENCY_KEY_REUSED"]);
    const { idempotencyKey: _, ...keyless } = as;
    expect((await rest("POST", "/v1/coupons", keyless, body)).body.reason).toBe("IDEMPOTENCY_KEY_REQUIRED");

    const racing = staff();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => rest("POST", "/v1/coupons", racing, { ...body, code: "ONCE" })),
    );
    const created = answers.filter(({ status }) => status === 201);
    expect(new Set(created.map(({ text }) => text)).size).toBe(1);
    for (const { status, body: problem } of answers) {
      if (status !== 201) expect([status, problem.reason]).toEqual([409, "IDEMPOTENCY_KEY_IN_FLIGHT"]);
    }
  });

  test("names what is wrong with it, and stores nothing", async () => {
    const wrong: [object, string][] = [
      [{ amount: { currency: "EUR", minor: "500" } }, "#/amount/currency"],
      [{ amount: { currency: "usd", minor: "500" } }, "#/amount/currency"],
      [{ amount: { currency: "USD", minor: "0" } }, "#/amount/minor"],
      [{ amount: { currency: "USD", minor: "-1" } }, "#/amount/minor"],
      [{ amount: { currency: "USD", minor: "9223372036854775808" } }, "#/amount/minor"],
      [{ amount: undefined }, "#/amount"],
      [{ code: "AB" }, "#/code"],
      [{ code: "A B C" }, "#/code"],
      [{ code: "-ABC" }, "#/code"],
      [{ code: "A".repeat(41) }, "#/code"],
      [{ redemptionLimit: 0 }, "#/redemptionLimit"],
      [{ redemptionLimit: 1_000_001 }, "#/redemptionLimit"],
      [{ expiresAt: "soon" }, "#/expiresAt"],
      [{ redeemed: 1 }, "#/redeemed"],
    ];
    for (const [change, pointer] of wrong) {
      const answer = await rest("POST", "/v1/coupons", staff(), { ...terms, code: "WRONG", ...change });
      expect([change, answer.status, answer.body.reason]).toEqual([change, 400, "VALIDATION"]);
      expect(answer.body.errors[0].pointer).toBe(pointer);
    }
    const far = { ...terms, code: "WRONG", amount: { currency: "USD", minor: 1n } };
    for (const seconds of [253_402_300_800n, 2n ** 62n, -(2n ** 62n)]) {
      const creating = client(staff()).createCoupon({ ...far, expiresAt: { seconds } });
      expect(await reasonOf(creating)).toBe("VALIDATION");
    }
    expect(await reasonOf(client(staff()).getCoupon({ code: "WRONG" }))).toBe("COUPON_NOT_FOUND");
  });

  test("is in the audit log with who did it and what it is worth, once", async () => {
    const by = staff();
    const code = `C${crypto.randomUUID().slice(0, 8).toUpperCase()}`;
    const create = (as: As) =>
      client(as).createCoupon({ code, amount: { currency: "USD", minor: 300n }, redemptionLimit: 1 });
    await create(by);
    await create(by);
    expect(await reasonOf(create(staff()))).toBe("COUPON_CODE_TAKEN");
    const customer: As = { user: { id: mall().newId("usr") }, idempotencyKey: crypto.randomUUID() };
    expect(await reasonOf(create(customer))).toBe("FORBIDDEN");
    expect(await mall().audit({ subject: code })).toMatchObject([
      {
        ...{ action: "CreateCoupon", outcome: "ok", actor: { kind: "user", id: by.user!.id } },
        metadata: { amountMinor: "300", currency: "USD" },
      },
    ]);
    expect(await mall().audit({ actor: customer.user!.id })).toMatchObject([
      { action: "CreateCoupon", reason: "FORBIDDEN" },
    ]);
  });

  test("is for staff, and reading too", async () => {
    const code = await coupon();
    const idempotencyKey = crypto.randomUUID();
    for (const [as, status, reason] of [
      [{}, 401, "UNAUTHENTICATED"],
      [{ service: "checkout" }, 401, "UNAUTHENTICATED"],
      [{ user: { id: mall().newId("usr") } }, 403, "FORBIDDEN"],
    ] as [As, number, string][]) {
      const created = await rest("POST", "/v1/coupons", { ...as, idempotencyKey }, terms);
      expect([created.status, created.body.reason]).toEqual([status, reason]);
      expect((await rest("GET", `/v1/coupons/${code}`, as)).body.reason).toBe(reason);
    }
    expect((await client({ service: "mall" }).getCoupon({ code })).coupon!.code).toBe(code);
  });
});

describe("a coupon on a cart", () => {
  test("takes its amount off, and never more than the subtotal", async () => {
    const code = await coupon({ minor: 1500n });
    const held = await filled(2);
    const before = await read(held);
    expect(before).toMatchObject({ couponCode: "", discountTotal: { minor: 0n }, total: { minor: 2000n } });
    const cart = await apply(held, code.toLowerCase());
    expect(cart).toMatchObject({
      ...{ couponCode: code, version: before.version + 1 },
      ...{
        subtotal: { minor: 2000n },
        discountTotal: { currency: "USD", minor: 1500n },
        total: { minor: 500n },
      },
    });
    expect(await read(held)).toEqual(cart);
    expect(await apply(held, code)).toEqual(cart);
    const { variantId } = cart.items[0]!;
    const { cartId, as } = held;
    const fewer = await client(as).setItemQuantity({ cartId, variantId, quantity: 1 });
    expect(fewer.cart).toMatchObject({ discountTotal: { minor: 1000n }, total: { minor: 0n } });
    const more = await client(as).addItem({ cartId, variantId, quantity: 1 });
    expect(more.cart).toMatchObject({ discountTotal: { minor: 1500n }, total: { minor: 500n } });
    const emptied = (await client(as).emptyCart({ cartId })).cart!;
    expect(emptied).toMatchObject({ couponCode: code, discountTotal: { minor: 0n }, total: { minor: 0n } });
  });

  test("is replaced by another one and taken off, once or again", async () => {
    const [first, second] = [await coupon(), await coupon({ minor: 100n })];
    const held = await filled();
    const { version } = await apply(held, first);
    expect(await apply(held, second)).toMatchObject({
      ...{ couponCode: second, version: version + 1, discountTotal: { minor: 100n } },
    });
    const off = (await client(held.as).removeCoupon(held)).cart!;
    expect(off).toMatchObject({ couponCode: "", version: version + 2, discountTotal: { minor: 0n } });
    expect((await client(held.as).removeCoupon(held)).cart).toEqual(off);
  });

  test("that is unknown, has ended or is used up is refused and changes nothing", async () => {
    const ended = await coupon({ ends: 0 });
    const ending = await coupon({ ends: 5 });
    const used = await coupon({ limit: 1 });
    await redeem(used, mall().newId("chk"));
    const kept = await coupon();
    const held = await filled();
    const before = await apply(held, kept);
    for (const code of ["UNKNOWN", ended, used]) {
      expect(await reasonOf(apply(held, code))).toBe("COUPON_NOT_APPLICABLE");
    }
    mall().clock.advance(5);
    expect(await reasonOf(apply(held, ending))).toBe("COUPON_NOT_APPLICABLE");
    expect(await read(held)).toEqual(before);
    expect((await rest("PUT", `/v1/carts/${held.cartId}/coupon`, held.as, { code: "no" })).status).toBe(400);
  });

  test("takes nothing off from the instant at which it ends, or while it is used up", async () => {
    const code = await coupon({ ends: 10, limit: 1 });
    const held = await filled();
    await apply(held, code);
    const other = mall().newId("chk");
    await redeem(code, other);
    expect(await read(held)).toMatchObject({ couponCode: code, discountTotal: { minor: 0n } });
    await release(other);
    mall().clock.advance(9);
    expect(await read(held)).toMatchObject({ discountTotal: { minor: 300n }, total: { minor: 700n } });
    mall().clock.advance(1);
    expect(await read(held)).toMatchObject({
      ...{ couponCode: code, discountTotal: { minor: 0n }, total: { minor: 1000n } },
    });
  });

  test("needs the cart's holder, an open cart and its version", async () => {
    const code = await coupon();
    const held = await filled();
    const { cartId, as } = held;
    const stranger = { user: { id: mall().newId("usr") } };
    expect(await reasonOf(apply({ cartId, as: stranger }, code))).toBe("CART_NOT_FOUND");
    expect(await reasonOf(client(stranger).removeCoupon({ cartId }))).toBe("CART_NOT_FOUND");
    const change = { cartId, expectedVersion: 7 };
    expect(await reasonOf(client(as).applyCoupon({ ...change, code }))).toBe("VERSION_MISMATCH");
    expect(await reasonOf(client(as).applyCoupon({ ...change, code: "UNKNOWN" }))).toBe("VERSION_MISMATCH");
    expect(await reasonOf(client(as).removeCoupon(change))).toBe("VERSION_MISMATCH");
    const purchase = { cartId, checkoutId: mall().newId("chk") };
    await checkout(as).lockCart(purchase);
    expect(await reasonOf(apply(held, code))).toBe("CART_LOCKED");
    expect(await reasonOf(client(as).removeCoupon({ cartId }))).toBe("CART_LOCKED");
    await checkout().convertCart(purchase);
    expect(await reasonOf(apply(held, code))).toBe("CART_CONVERTED");
    expect(await reasonOf(client(as).removeCoupon({ cartId }))).toBe("CART_CONVERTED");
    expect((await read(held)).couponCode).toBe("");
  });

  test("goes to the checkout as it is stored, also when it has ended", async () => {
    const code = await coupon({ ends: 10, limit: 2 });
    const held = await filled();
    const purchase = { cartId: held.cartId, checkoutId: mall().newId("chk") };
    expect((await checkout(held.as).lockCart(purchase)).coupon).toBeUndefined();
    await checkout().unlockCart(purchase);
    await apply(held, code);
    mall().clock.advance(10);
    const next = { ...purchase, checkoutId: mall().newId("chk") };
    const stored = await client(staff()).getCoupon({ code });
    const locked = await checkout(held.as).lockCart(next);
    expect(locked.coupon).toEqual(stored.coupon!);
    expect(locked.coupon).toMatchObject({
      code,
      amount: { currency: "USD", minor: 300n },
      redemptionLimit: 2,
    });
    expect(await reasonOf(redeem(code, next.checkoutId))).toBe("COUPON_NOT_APPLICABLE");
  });

  test("that its own checkout has redeemed is shown with its discount, although none is left", async () => {
    const code = await coupon({ limit: 1, ends: 10 });
    const held = await filled();
    await apply(held, code);
    const purchase = { cartId: held.cartId, checkoutId: mall().newId("chk") };
    await checkout(held.as).lockCart(purchase);
    await redeem(code, purchase.checkoutId);
    mall().clock.advance(20);
    expect(await read(held)).toMatchObject({ state: CartState.LOCKED, discountTotal: { minor: 300n } });
    await checkout().unlockCart(purchase);
    expect(await redeemedOf(code)).toBe(1);
    expect(await read(held)).toMatchObject({ state: CartState.OPEN, discountTotal: { minor: 0n } });
  });
});

describe("redeeming", () => {
  test("counts once a checkout, however often it is asked", async () => {
    const code = await coupon({ limit: 5 });
    const checkoutId = mall().newId("chk");
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => redeem(code.toLowerCase(), checkoutId)),
    );
    for (const answer of answers) expect(answer.coupon).toMatchObject({ code, redeemed: 1 });
    expect(await redeemedOf(code)).toBe(1);
    await checkBooks();
  });

  test("by 50 checkouts at once gives exactly what the limit allows", async () => {
    for (const limit of [1, 7, 49]) {
      const code = await coupon({ limit });
      const redeems = Array.from({ length: 50 }, () => reasonOf(redeem(code, mall().newId("chk"))));
      const reasons = await Promise.all(redeems);
      expect(reasons.filter((reason) => reason === "")).toHaveLength(limit);
      expect(new Set(reasons)).toEqual(new Set(["", "COUPON_NOT_APPLICABLE"]));
      expect(await redeemedOf(code)).toBe(limit);
    }
    await checkBooks();
  });

  test("of the last one by two statements at the same instant is decided on the newest row", async () => {
    const code = await coupon({ limit: 1 });
    let redeems: Promise<string>[] = [];
    await mall().db.tx(async ({ sql }) => {
      await sql.unsafe("select 1 from cart.coupons where code = $1 for update", [code]);
      // both have seen that one is left before either takes it
      redeems = [reasonOf(redeem(code, mall().newId("chk"))), reasonOf(redeem(code, mall().newId("chk")))];
      for (let waiting = 0; waiting < 2; ) {
        const [row] = await mall().db.sql.unsafe(
          `select count(distinct pid)::int as n from pg_locks join pg_stat_activity using (pid)
           where not granted and datname = current_database()`,
        );
        waiting = row!.n;
      }
    });
    expect((await Promise.all(redeems)).toSorted()).toEqual(["", "COUPON_NOT_APPLICABLE"]);
    expect(await redeemedOf(code)).toBe(1);
    await checkBooks();
  });

  test("ends at the instant at which the coupon ends, but not for a checkout that redeemed before", async () => {
    const code = await coupon({ ends: 10 });
    const early = mall().newId("chk");
    mall().clock.advance(9);
    await redeem(code, early);
    mall().clock.advance(1);
    expect(await reasonOf(redeem(code, mall().newId("chk")))).toBe("COUPON_NOT_APPLICABLE");
    expect((await redeem(code, early)).coupon!.redeemed).toBe(1);
    expect(await reasonOf(redeem("UNKNOWN", mall().newId("chk")))).toBe("COUPON_NOT_APPLICABLE");
  });

  test("takes one coupon a checkout", async () => {
    const [code, other] = [await coupon(), await coupon()];
    const checkoutId = mall().newId("chk");
    await redeem(code, checkoutId);
    expect(await reasonOf(redeem(other, checkoutId))).toBe("COUPON_NOT_APPLICABLE");
    expect([await redeemedOf(code), await redeemedOf(other)]).toEqual([1, 0]);
    await release(checkoutId);
    expect(await reasonOf(redeem(other, checkoutId))).toBe("COUPON_NOT_APPLICABLE");
    expect([await redeemedOf(code), await redeemedOf(other)]).toEqual([0, 0]);
  });

  test("is for the checkout only", async () => {
    const code = await coupon();
    const checkoutId = mall().newId("chk");
    for (const as of [staff(), { service: "mall" }, {}] as As[]) {
      expect(await reasonOf(client(as).redeemCoupon({ code, checkoutId }))).toBe("FORBIDDEN");
      expect(await reasonOf(client(as).releaseCoupon({ checkoutId }))).toBe("FORBIDDEN");
    }
  });
});

describe("releasing", () => {
  test("gives one back, once, and the checkout cannot redeem again", async () => {
    const code = await coupon({ limit: 1 });
    const checkoutId = mall().newId("chk");
    await redeem(code, checkoutId);
    expect(await reasonOf(redeem(code, mall().newId("chk")))).toBe("COUPON_NOT_APPLICABLE");
    await Promise.all(Array.from({ length: 10 }, () => release(checkoutId)));
    await release(checkoutId);
    expect(await redeemedOf(code)).toBe(0);
    expect(await reasonOf(redeem(code, checkoutId))).toBe("COUPON_NOT_APPLICABLE");
    await redeem(code, mall().newId("chk"));
    await release(checkoutId);
    expect(await redeemedOf(code)).toBe(1);
    await checkBooks();
  });

  test("before redeeming makes the redemption fail for ever", async () => {
    const code = await coupon();
    const checkoutId = mall().newId("chk");
    await release(checkoutId);
    for (let again = 0; again < 2; again++) {
      expect(await reasonOf(redeem(code, checkoutId))).toBe("COUPON_NOT_APPLICABLE");
    }
    expect(await redeemedOf(code)).toBe(0);
  });

  test("at the same moment as redeeming leaves nothing redeemed, whichever comes first", async () => {
    const code = await coupon({ limit: 20 });
    const seen = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const checkoutId = mall().newId("chk");
      const redeems = () => [reasonOf(redeem(code, checkoutId)), reasonOf(redeem(code, checkoutId))];
      const works = round % 2 ? [...redeems(), release(checkoutId)] : [release(checkoutId), ...redeems()];
      for (const result of await Promise.all(works)) if (typeof result === "string") seen.add(result);
      const [row] = await mall().db.sql.unsafe("select state from cart.redemptions where checkout_id = $1", [
        uuidOf(checkoutId),
      ]);
      expect(row!.state).toBe("released");
    }
    expect(await redeemedOf(code)).toBe(0);
    expect(seen).toEqual(new Set(["", "COUPON_NOT_APPLICABLE"]));
    await checkBooks();
  });

  test("and redeeming by many checkouts keeps the books", async () => {
    const code = await coupon({ limit: 5 });
    const works = Array.from({ length: 40 }, async (_, n) => {
      const checkoutId = mall().newId("chk");
      const reason = await reasonOf(redeem(code, checkoutId));
      if (n % 3) await release(checkoutId);
      return n % 3 === 0 && reason === "" ? 1 : 0;
    });
    const kept = (await Promise.all(works)).reduce((sum: number, one) => sum + one, 0);
    expect(await redeemedOf(code)).toBe(kept);
    await checkBooks();
  });
});
