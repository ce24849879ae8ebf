import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { create, toJson } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { OrderService, OrderState } from "@mall/gen/mall/order/v1/order_pb";
import { PaymentRefundedSchema } from "@mall/gen/mall/payment/v1/events_pb";
import { PaymentService } from "@mall/gen/mall/payment/v1/payment_pb";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { uuidOf } from "@mall/kernel/id";
import { eventScope, serviceTokens } from "@mall/kernel/identity/service-token";
import { pageToken } from "@mall/kernel/page-token";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { createOrderService } from "./service";

/*
 * What a slow, killed or hostile neighbour does to an order: calls that come late, twice, in another order or at the
 * same moment as others. Times are the harness's clock, which stands still.
 */

let mall: Harness;
/** Calls to the neighbours by order or checkout, whether they answer, and how long they take not to. */
const neighbours = { calls: new Map<string, number>(), areAway: false, silenceSeconds: 0 };
const called = (id: string) => {
  neighbours.calls.set(id, (neighbours.calls.get(id) ?? 0) + 1);
  if (!neighbours.areAway) return {};
  mall.clock.advance(neighbours.silenceSeconds);
  throw new ConnectError("away", Code.Unavailable);
};
beforeAll(async () => {
  mall = await harness("order", createOrderService, {
    neighbours(router) {
      router.service(InventoryService, { restockStock: ({ checkoutId }) => called(checkoutId) });
      router.service(PaymentService, { voidOrderPayments: ({ orderId }) => called(orderId) });
    },
  });
});
afterAll(() => mall.stop());

const ttlSeconds = 60;
const price = 2_400n;
const usd = (minor: bigint) => ({ currency: "USD", minor });
const checkout = () => mall.client(OrderService, { service: "checkout" });
const inSeconds = (seconds: number) => timestampFromDate(new Date(mall.clock().getTime() + seconds * 1000));

/** What can be done with one order; it is not created yet. */
function newOrder() {
  const user = { id: mall.newId("usr") };
  const orderId = mall.newId("ord");
  const checkoutId = mall.newId("chk");
  const holder = mall.client(OrderService, { user });
  const line = { variantId: mall.newId("var"), productId: mall.newId("prod"), sku: "MUG", title: "Mug" };
  const [zero, total] = [usd(0n), usd(price)];
  const address = { name: "Ada", line1: "1 Way", city: "Austin", region: "TX", postalCode: "78701" };
  const draft = {
    ...{ orderId, checkoutId, userId: user.id, email: "ada@example.com", shippingOption: "standard" },
    items: [{ ...line, quantity: 2, unitPrice: usd(price / 2n), total }],
    totals: { subtotal: total, discountTotal: zero, shippingTotal: zero, taxTotal: zero, total },
    shippingAddress: { ...address, country: "US" },
  };
  const read = async () => (await holder.getOrder({ orderId })).order!;
  return {
    ...{ orderId, checkoutId, holder, read },
    create: (expiresAt?: ReturnType<typeof inSeconds>) => checkout().createOrder({ ...draft, expiresAt }),
    begin: (sequence = 2) => checkout().beginOrderPayment({ orderId, sequence }),
    end: (seconds: number, sequence = 3) =>
      checkout().endOrderPayment({ orderId, sequence, expiresAt: inSeconds(seconds) }),
    pay: (paymentId: string = mall.newId("pay")) => checkout().markOrderPaid({ orderId, paymentId }),
    abandon: () => checkout().abandonOrder({ orderId, reason: "INTERRUPTED" }),
    cancel: () => holder.cancelOrder({ orderId }),
    state: async () => OrderState[(await read()).state],
    timeline: async () => (await holder.listOrderEvents({ orderId })).events.map(({ kind }) => kind),
  };
}

/** An order that waits for its customer, for `ttlSeconds`. */
async function waiting() {
  const order = newOrder();
  await order.create(inSeconds(ttlSeconds));
  return order;
}

/** How often the mall was told something about an order. */
async function told(orderId: string, event: string): Promise<number> {
  const [row] = await mall.db.sql`select count(*)::int as n from "order".outbox
    where subject = ${orderId} and type = ${`mall.order.v1.${event}`}`;
  return row!.n as number;
}

interface Refunded {
  orderId: string;
  paymentId: string;
  refundedMinor: bigint;
  id?: string;
}

/** Delivers that money of a payment went back. */
async function deliver({ id = crypto.randomUUID(), ...refunded }: Refunded): Promise<number> {
  const masterKey = "test-master-key-test-master-key-0123456789";
  const token = await serviceTokens(masterKey, "payment", mall.clock).tokenFor("order", eventScope);
  const data = create(PaymentRefundedSchema, {
    ...refunded,
    ...{ refundId: mall.newId("ref"), amountMinor: refunded.refundedMinor, currency: "USD" },
    inFull: refunded.refundedMinor === price,
  });
  const event = {
    ...{ specversion: "1.0", id, source: "/mall/payment", type: PaymentRefundedSchema.typeName },
    ...{ subject: refunded.paymentId, time: mall.clock().toISOString(), sequence: "1" },
    data: toJson(PaymentRefundedSchema, data),
  };
  const request = new Request("http://order/events", {
    method: "POST",
    headers: { "content-type": "application/cloudevents+json", "x-service-token": token },
    body: JSON.stringify(event),
  });
  return (await mall.app.fetch(request)).status;
}

describe("money that went back", () => {
  test("of an attempt that did not pay the order leaves it paid, whenever that is told", async () => {
    for (const isEarly of [true, false]) {
      const order = await waiting();
      const [first, second] = [mall.newId("pay"), mall.newId("pay")];
      const refund = { orderId: order.orderId, paymentId: first, refundedMinor: price };
      if (isEarly) expect(await deliver(refund)).toBe(204);
      await order.begin();
      await order.pay(second);
      if (!isEarly) expect(await deliver(refund)).toBe(204);
      const seen = await order.read();
      expect([OrderState[seen.state], seen.refundedTotal!.minor]).toEqual(["PAID", 0n]);
      await deliver({ ...refund, paymentId: second, refundedMinor: 100n });
      expect((await order.read()).refundedTotal!.minor).toBe(100n);
      expect(await told(order.orderId, "OrderRefunded")).toBe(0);
    }
  });

  test("before the order knew of the payment counts once it does", async () => {
    for (const refundedMinor of [100n, price]) {
      const order = await waiting();
      const paymentId = mall.newId("pay");
      await order.begin();
      await deliver({ orderId: order.orderId, paymentId, refundedMinor: 50n });
      await deliver({ orderId: order.orderId, paymentId, refundedMinor });
      const { order: paid } = await order.pay(paymentId);
      const state = refundedMinor === price ? "REFUNDED" : "PAID";
      expect([OrderState[paid!.state], paid!.refundedTotal!.minor]).toEqual([state, refundedMinor]);
      expect(await order.read()).toEqual(paid!);
      expect((await order.pay(paymentId)).order).toEqual(paid!);
      expect(await told(order.orderId, "OrderPaid")).toBe(1);
      expect(await told(order.orderId, "OrderRefunded")).toBe(refundedMinor === price ? 1 : 0);
    }
  });

  test("cannot be more than the order cost", async () => {
    const order = await waiting();
    const paymentId = mall.newId("pay");
    await order.pay(paymentId);
    const before = await order.read();
    expect(
      await deliver({ orderId: order.orderId, paymentId, refundedMinor: price + 1n }),
    ).toBeGreaterThanOrEqual(400);
    expect(await order.read()).toEqual(before);
  });

  test("of a cancelled order is announced as all of it, once", async () => {
    const order = await waiting();
    const paymentId = mall.newId("pay");
    await order.pay(paymentId);
    await order.cancel();
    const id = crypto.randomUUID();
    for (const _ of [1, 2]) await deliver({ orderId: order.orderId, paymentId, refundedMinor: price, id });
    expect(await order.state()).toBe("CANCELLED");
    expect(await told(order.orderId, "OrderRefunded")).toBe(1);
  });
});

describe("an order that is over", () => {
  test("by time stays so for who comes late with an old clock, once somebody was told", async () => {
    for (const tell of ["abandon", "cancel"] as const) {
      const order = await waiting();
      mall.clock.advance(ttlSeconds);
      await order[tell]();
      mall.clock.advance(-1);
      expect([await reasonOf(order.begin()), await reasonOf(order.pay())]).toEqual([
        ...["ORDER_STATE_INVALID", "ORDER_STATE_INVALID"],
      ]);
      expect(await order.state()).toBe("CANCELLED");
      mall.clock.advance(1);
      await mall.app.sweep();
      expect(await told(order.orderId, "OrderCancelled")).toBe(1);
      expect(await order.timeline()).toEqual(["placed", "cancelled"]);
      expect((await order.read()).cancelReason).toBe("EXPIRED");
    }
  });

  test("by time does not live longer by the end of a payment that never began", async () => {
    const order = await waiting();
    mall.clock.advance(ttlSeconds);
    expect(await reasonOf(order.end(ttlSeconds))).toBe("ORDER_STATE_INVALID");
    expect(await order.state()).toBe("CANCELLED");
  });

  test("by abandoning is not created again by a repetition, but a paid one is found", async () => {
    const order = await waiting();
    await order.abandon();
    expect(await reasonOf(order.create())).toBe("ORDER_STATE_INVALID");
    const due = await waiting();
    mall.clock.advance(ttlSeconds);
    expect(await reasonOf(due.create())).toBe("ORDER_STATE_INVALID");
    const paid = await waiting();
    await paid.pay();
    await paid.cancel();
    expect(OrderState[(await paid.create()).order!.state]).toBe("CANCELLED");
  });

  test("by its customer can be abandoned by its checkout, paid or not", async () => {
    for (const isPaid of [true, false]) {
      const order = await waiting();
      if (isPaid) await order.pay();
      const { order: cancelled } = await order.cancel();
      expect(await reasonOf(order.abandon())).toBe("");
      expect(await order.read()).toEqual(cancelled!);
    }
  });
});

describe("the timeline", () => {
  test("tells things in the order they happened, also within a millisecond", async () => {
    for (let trial = 0; trial < 10; trial++) {
      const order = await waiting();
      const paymentId = mall.newId("pay");
      await order.begin();
      await order.end(ttlSeconds);
      await order.pay(paymentId);
      await deliver({ orderId: order.orderId, paymentId, refundedMinor: 10n });
      await order.cancel();
      await deliver({ orderId: order.orderId, paymentId, refundedMinor: price });
      const { events } = await order.holder.listOrderEvents({ orderId: order.orderId });
      expect(events.map(({ kind }) => kind)).toEqual([
        ...["placed", "paid", "refunded", "cancelled", "refunded"],
      ]);
      const paged: string[] = [];
      for (let token = ""; ; ) {
        const page = await order.holder.listOrderEvents({
          orderId: order.orderId,
          pageSize: 2,
          pageToken: token,
        });
        paged.push(...page.events.map(({ id }) => id));
        token = page.nextPageToken;
        if (token === "") break;
      }
      expect(paged).toEqual(events.map(({ id }) => id));
    }
  });

  test("agrees with an order that is over by time, before the sweeper comes", async () => {
    const order = await waiting();
    mall.clock.advance(ttlSeconds);
    expect(await order.state()).toBe("CANCELLED");
    expect(await order.timeline()).toEqual(["placed", "cancelled"]);
    await mall.app.sweep();
    expect(await told(order.orderId, "OrderCancelled")).toBe(1);
  });

  test("refuses a page token that somebody made up", async () => {
    const { holder, orderId } = await waiting();
    for (const position of ["x", "-1", "1e3", "99999999999999999999", "' or true --"]) {
      const token = pageToken(`events|${orderId}`, position);
      expect(await reasonOf(holder.listOrderEvents({ orderId, pageToken: token }))).toBe("VALIDATION");
    }
  });
});

describe("what a cancelled order owes", () => {
  test("is tried again less and less often while the neighbours are away, and a sweep ends", async () => {
    neighbours.areAway = true;
    const orders = await Promise.all(Array.from({ length: 25 }, waiting));
    for (const order of orders) {
      await order.pay();
      expect(OrderState[(await order.cancel()).order!.state]).toBe("CANCELLED");
    }
    const tries = () => orders.map(({ orderId }) => neighbours.calls.get(orderId)!);
    mall.clock.advance(30);
    neighbours.silenceSeconds = 1;
    await mall.app.sweep();
    expect(new Set(tries())).toEqual(new Set([2]));
    neighbours.silenceSeconds = 0.01;
    const begun = mall.clock().getTime();
    for (let second = 0; second < 60; second++) {
      mall.clock.advance(1);
      await mall.app.sweep();
    }
    // at once, a second later, after 2, 4 and 8 more, then every 10
    const elapsedSeconds = (mall.clock().getTime() - begun) / 1000;
    expect(Math.max(...tries())).toBeLessThanOrEqual(6 + elapsedSeconds / 10);
    expect(Math.min(...tries())).toBeGreaterThanOrEqual(4);
    neighbours.areAway = false;
    for (let second = 0; second < 30; second++) {
      mall.clock.advance(1);
      await mall.app.sweep();
    }
    const [left] = await mall.db
      .sql`select count(*)::int as n from "order".orders where undo_due_at is not null`;
    expect(left!.n).toBe(0);
    const done = tries();
    mall.clock.advance(60);
    await mall.app.sweep();
    expect(tries()).toEqual(done);
  });
});

const times = <T>(count: number, run: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => run(index));

/** Fails unless an order's row, events and timeline tell the same story. */
async function expectOneStory(orderId: string): Promise<void> {
  const [row] = await mall.db.sql`select o.state, o.paid_at, o.cancelled_at, o.expires_at,
      (select json_agg(kind order by sequence) from "order".order_events e where e.order_id = o.id) as kinds
    from "order".orders o where o.id = ${uuidOf(orderId)}`;
  const kinds = row!.kinds as string[];
  const count = (kind: string) => kinds.filter((one) => one === kind).length;
  expect(count("placed")).toBe(1);
  expect(count("paid")).toBe(row!.paid_at ? 1 : 0);
  expect(count("cancelled")).toBe(row!.cancelled_at ? 1 : 0);
  expect(await told(orderId, "OrderPaid")).toBe(count("paid"));
  expect(await told(orderId, "OrderCancelled")).toBe(count("cancelled"));
  expect(row!.cancelled_at !== null).toBe(row!.state === "CANCELLED");
  if (row!.state !== "PENDING_PAYMENT") expect(row!.expires_at).toBeNull();
}

describe("at the same moment", () => {
  const trials = 40;

  test("pay, cancel and begin have one outcome that all of them know of", async () => {
    for (let trial = 0; trial < trials; trial++) {
      const order = await waiting();
      const paymentId = mall.newId("pay");
      const calls = [
        () => reasonOf(order.pay(paymentId)),
        () => reasonOf(order.cancel()),
        () => reasonOf(order.begin()),
        () => reasonOf(order.cancel()),
      ];
      const turn = trial % calls.length;
      await Promise.all([...calls.slice(turn), ...calls.slice(0, turn)].map((call) => call()));
      const seen = await order.read();
      const again = await reasonOf(order.pay(paymentId));
      // who was refused once is refused again: nobody's payment is taken by an order that is cancelled unpaid
      if (OrderState[seen.state] === "CANCELLED" && !seen.paidAt) expect(again).toBe("ORDER_STATE_INVALID");
      else expect(again).toBe("");
      if (seen.paidAt && seen.cancelledAt) {
        expect(neighbours.calls.get(order.orderId)).toBe(1);
        expect(neighbours.calls.get(order.checkoutId)).toBe(1);
      } else expect(neighbours.calls.get(order.orderId)).toBeUndefined();
      await expectOneStory(order.orderId);
    }
  });

  test("pay, sweeps and the instant of expiry have one outcome", async () => {
    for (let trial = 0; trial < trials; trial++) {
      const order = await waiting();
      mall.clock.advance(ttlSeconds - 1);
      const calls = [
        () => reasonOf(order.begin().then(() => order.pay())),
        () => mall.app.sweep(),
        async () => mall.clock.advance(1),
        () => mall.app.sweep(),
      ];
      const turn = trial % calls.length;
      const turned = [...calls.slice(turn), ...calls.slice(0, turn)];
      const results = await Promise.all(turned.map((call) => call()));
      const refused = results[(calls.length - turn) % calls.length];
      await mall.app.sweep();
      expect(await order.state()).toBe(refused ? "CANCELLED" : "PAID");
      await expectOneStory(order.orderId);
    }
  });

  test("creation and abandoning leave no order that lives", async () => {
    for (let trial = 0; trial < trials; trial++) {
      const order = newOrder();
      const calls = [
        () => reasonOf(order.create()),
        () => reasonOf(order.abandon()),
        () => reasonOf(order.create()),
      ];
      const turn = trial % calls.length;
      const results = await Promise.all(
        [...calls.slice(turn), ...calls.slice(0, turn)].map((call) => call()),
      );
      expect(results[(calls.length + 1 - turn) % calls.length]).toBe("");
      expect(await reasonOf(order.create())).toBe("ORDER_STATE_INVALID");
      expect(await reasonOf(order.pay())).toBeOneOf(["ORDER_STATE_INVALID", "ORDER_NOT_FOUND"]);
    }
  });

  test("many sweeps write a crowd of expiries down once", async () => {
    const orders = await Promise.all(times(60, waiting));
    mall.clock.advance(ttlSeconds);
    await Promise.all(times(4, () => mall.app.sweep()));
    for (const { orderId } of orders) {
      expect(await told(orderId, "OrderCancelled")).toBe(1);
      await expectOneStory(orderId);
    }
  });
});
