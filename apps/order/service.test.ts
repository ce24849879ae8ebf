import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { create, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { OrderService, OrderState } from "@mall/gen/mall/order/v1/order_pb";
import { PaymentRefundedSchema } from "@mall/gen/mall/payment/v1/events_pb";
import { PaymentService } from "@mall/gen/mall/payment/v1/payment_pb";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { derivedSecrets } from "@mall/kernel/crypto/derive";
import { eventScope, serviceTokens } from "@mall/kernel/identity/service-token";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { refusal } from "@mall/kernel/testing/refusal";
import { createOrderService } from "./service";

let mall: Harness;
/** What the neighbours were asked to take back, and whether they do. */
const asked = { restocks: [] as string[], voids: [] as string[], fails: false };
const take = (list: string[], id: string) => {
  if (asked.fails) throw new ConnectError("away", Code.Unavailable);
  list.push(id);
  return {};
};
beforeAll(async () => {
  mall = await harness("order", createOrderService, {
    neighbours(router) {
      router.service(InventoryService, {
        restockStock: ({ checkoutId }) => take(asked.restocks, checkoutId),
      });
      router.service(PaymentService, { voidOrderPayments: ({ orderId }) => take(asked.voids, orderId) });
    },
  });
});
afterAll(() => mall.stop());

const usd = (minor: bigint) => ({ currency: "USD", minor });

function draft(over: { userId?: string; total?: bigint } = {}) {
  return {
    orderId: mall.newId("ord"),
    checkoutId: mall.newId("chk"),
    userId: over.userId ?? "",
    items: [
      {
        variantId: mall.newId("var"),
        productId: mall.newId("prod"),
        sku: "MUG",
        title: "Mug",
        quantity: 2,
        unitPrice: usd(1200n),
        total: usd(2400n),
      },
    ],
    totals: {
      subtotal: usd(2400n),
      discountTotal: usd(0n),
      shippingTotal: usd(500n),
      taxTotal: usd(198n),
      total: usd(over.total ?? 3098n),
    },
    email: "ada@example.com",
    shippingAddress: {
      name: "Ada",
      line1: "1 Way",
      line2: "",
      city: "Austin",
      region: "TX",
      postalCode: "78701",
      country: "US",
    },
    shippingOption: "standard",
  };
}

const checkout = () => mall.client(OrderService, { service: "checkout" });

describe("an order", () => {
  test("is created unpaid, once, and read back by its user", async () => {
    const userId = mall.newId("usr");
    const asked = draft({ userId });
    const first = await checkout().createOrder(asked);
    const again = await checkout().createOrder(asked);
    expect(again.order).toEqual(first.order);
    const { order } = await mall
      .client(OrderService, { user: { id: userId } })
      .getOrder({ orderId: asked.orderId });
    expect(order?.state).toBe(OrderState.PENDING_PAYMENT);
    expect(order?.total?.minor).toBe(3098n);
    expect(order?.items[0]?.quantity).toBe(2);
    expect(Number(order?.number)).toBeGreaterThan(1000);
  });

  test("is paid once, and its checkout can no longer abandon it", async () => {
    const asked = draft();
    await checkout().createOrder(asked);
    const paymentId = mall.newId("pay");
    const paid = await checkout().markOrderPaid({ orderId: asked.orderId, paymentId });
    expect(paid.order?.state).toBe(OrderState.PAID);
    const again = await checkout().markOrderPaid({ orderId: asked.orderId, paymentId });
    expect(again.order?.version).toBe(paid.order?.version);
    expect(
      await refusal(checkout().markOrderPaid({ orderId: asked.orderId, paymentId: mall.newId("pay") })),
    ).toEqual({
      code: "FailedPrecondition",
      reason: "ORDER_STATE_INVALID",
    });
    expect((await refusal(checkout().abandonOrder({ orderId: asked.orderId, reason: "TEST" }))).reason).toBe(
      "ORDER_STATE_INVALID",
    );
  });

  test("that is paid and abandoned at once has one outcome", async () => {
    for (let i = 0; i < 20; i++) {
      const asked = draft();
      await checkout().createOrder(asked);
      const results = await Promise.allSettled([
        checkout().markOrderPaid({ orderId: asked.orderId, paymentId: mall.newId("pay") }),
        checkout().abandonOrder({ orderId: asked.orderId, reason: "TEST" }),
      ]);
      expect(results.filter((r) => r.status === "fulfilled")).toHaveLength(1);
    }
  });

  test("whose totals do not follow from its lines is refused", async () => {
    expect(await refusal(checkout().createOrder(draft({ total: 1n })))).toEqual({
      code: "InvalidArgument",
      reason: "ORDER_TOTALS_WRONG",
    });
  });
});

describe("access", () => {
  test("a foreign order answers exactly as an unknown one", async () => {
    const asked = draft({ userId: mall.newId("usr") });
    await checkout().createOrder(asked);
    const stranger = { user: { id: mall.newId("usr") } };
    const read = async (id: string) => {
      const request = new Request(`http://order/v1/orders/${id}`, { headers: await mall.headers(stranger) });
      const response = await mall.app.fetch(request);
      const { instance, ...body } = (await response.json()) as Record<string, unknown>;
      expect(instance).toStartWith("urn:uuid:");
      return { status: response.status, body };
    };
    const foreign = await read(asked.orderId);
    expect(foreign).toEqual(await read(mall.newId("ord")));
    expect(foreign.status).toBe(404);
    expect(foreign.body.reason).toBe("ORDER_NOT_FOUND");
  });

  test("a guest reads the order with its secret only", async () => {
    const asked = draft();
    await checkout().createOrder(asked);
    const secret = derivedSecrets("test-master-key-test-master-key-0123456789").secretOf(
      "order",
      asked.orderId,
      1,
    );
    const { order } = await mall
      .client(OrderService, { orderSecret: secret })
      .getOrder({ orderId: asked.orderId });
    expect(order?.id).toBe(asked.orderId);
    const wrong = mall.client(OrderService, { orderSecret: `${secret.slice(0, -2)}AA` });
    expect((await refusal(wrong.getOrder({ orderId: asked.orderId }))).reason).toBe("ORDER_NOT_FOUND");
  });

  test("service methods refuse users, guests and services outside the call table", async () => {
    const asked = { orderId: mall.newId("ord"), reason: "TEST" };
    for (const as of [
      {},
      { user: { id: mall.newId("usr"), roles: ["admin"] } },
      { service: "gateway" as const },
    ]) {
      expect((await refusal(mall.client(OrderService, as).abandonOrder(asked))).code).toBe(
        "PermissionDenied",
      );
    }
    expect((await refusal(mall.client(OrderService, { service: "cart" }).abandonOrder(asked))).code).toBe(
      "Unauthenticated",
    );
  });

  test("a malformed id is refused with the parameter named", async () => {
    const headers = await mall.headers({ user: { id: mall.newId("usr") } });
    const response = await mall.app.fetch(new Request("http://order/v1/orders/usr_123", { headers }));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ reason: "VALIDATION", errors: [{ parameter: "orderId" }] });
  });
});

describe("a list of orders", () => {
  test("is paged newest first without a gap or a repetition", async () => {
    const userId = mall.newId("usr");
    const placed: string[] = [];
    for (let i = 0; i < 5; i++) {
      const asked = draft({ userId });
      await checkout().createOrder(asked);
      placed.unshift(asked.orderId);
      mall.clock.advance(1);
    }
    const client = mall.client(OrderService, { user: { id: userId } });
    const seen: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await client.listOrders({ pageSize: 2, pageToken });
      seen.push(...page.orders.map((order) => order.id));
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    expect(seen).toEqual(placed);
    const other = mall.client(OrderService, { user: { id: mall.newId("usr") } });
    const { nextPageToken } = await client.listOrders({ pageSize: 1 });
    expect((await refusal(other.listOrders({ pageToken: nextPageToken }))).reason).toBe("VALIDATION");
  });
});

const ttlSeconds = 1800;
const secretOf = (orderId: string) =>
  derivedSecrets("test-master-key-test-master-key-0123456789").secretOf("order", orderId, 1);

/** An order that waits for its customer, and what can be done with it. */
async function waiting() {
  const order = draft();
  const { orderId } = order;
  const paymentId = mall.newId("pay");
  const expiresAt = timestampFromDate(new Date(mall.clock().getTime() + ttlSeconds * 1000));
  await checkout().createOrder({ ...order, expiresAt });
  const holder = mall.client(OrderService, { orderSecret: secretOf(orderId) });
  return {
    ...{ orderId, paymentId, checkoutId: order.checkoutId, expiresAt },
    read: async () => (await holder.getOrder({ orderId })).order!,
    cancel: () => holder.cancelOrder({ orderId, reason: "changed my mind" }),
    begin: (sequence: number) => checkout().beginOrderPayment({ orderId, sequence }),
    end: (sequence: number) => checkout().endOrderPayment({ orderId, sequence, expiresAt }),
    pay: () => checkout().markOrderPaid({ orderId, paymentId }),
    abandon: () => checkout().abandonOrder({ orderId, reason: "PAYMENT_DECLINED" }),
    timeline: async () => (await holder.listOrderEvents({ orderId })).events.map(({ kind }) => kind),
  };
}

/** How often an order was announced as cancelled. */
const announced = async (orderId: string): Promise<number> => {
  const [row] = await mall.db.sql`select count(*)::int as n from "order".outbox
    where subject = ${orderId} and type = 'mall.order.v1.OrderCancelled'`;
  return row!.n as number;
};

describe("an order that waits for its customer", () => {
  test("is cancelled the moment its time is over, before any sweeper says so", async () => {
    const order = await waiting();
    mall.clock.advance(ttlSeconds);
    const seen = await order.read();
    expect([seen.state, seen.cancelReason]).toEqual([OrderState.CANCELLED, "EXPIRED"]);
    expect(timestampDate(seen.cancelledAt!)).toEqual(timestampDate(order.expiresAt));
    expect(await announced(order.orderId)).toBe(0);
    expect((await refusal(order.begin(2))).reason).toBe("ORDER_STATE_INVALID");
    expect((await refusal(order.pay())).reason).toBe("ORDER_STATE_INVALID");
    await Promise.all([mall.app.sweep(), mall.app.sweep(), mall.app.sweep()]);
    expect(await announced(order.orderId)).toBe(1);
    expect(await order.timeline()).toEqual(["placed", "cancelled"]);
    expect(await order.read()).toEqual(seen);
  });

  test("can be cancelled by who holds it, once, and nothing has to go back", async () => {
    const order = await waiting();
    const stranger = mall.client(OrderService, { orderSecret: secretOf(mall.newId("ord")) });
    expect((await refusal(stranger.cancelOrder({ orderId: order.orderId }))).reason).toBe("ORDER_NOT_FOUND");
    const first = await order.cancel();
    expect((await order.cancel()).order).toEqual(first.order);
    expect(first.order!.cancelReason).toBe("changed my mind");
    expect(await announced(order.orderId)).toBe(1);
    expect(asked.restocks).not.toContain(order.checkoutId);
    expect((await refusal(order.begin(2))).reason).toBe("ORDER_STATE_INVALID");
  });

  test("neither expires nor is cancelled while a payment runs, and waits again when that ends", async () => {
    const order = await waiting();
    await order.begin(4);
    await order.begin(4);
    mall.clock.advance(ttlSeconds + 1);
    expect((await refusal(order.cancel())).reason).toBe("ORDER_PAYMENT_IN_PROGRESS");
    await mall.app.sweep();
    expect((await order.read()).state).toBe(OrderState.PENDING_PAYMENT);
    await order.end(5);
    expect((await order.read()).state).toBe(OrderState.CANCELLED);
  });

  test("is not touched by begins and ends that arrive after their successors", async () => {
    const order = await waiting();
    await order.end(5);
    expect(await refusal(order.begin(4))).toEqual({ code: "Aborted", reason: "OVERTAKEN" });
    expect((await order.read()).expiresAt).toEqual(order.expiresAt);
    await order.begin(8);
    expect((await refusal(order.end(7))).reason).toBe("OVERTAKEN");
    expect((await order.read()).expiresAt).toBeUndefined();
    await order.pay();
    expect((await order.read()).state).toBe(OrderState.PAID);
  });

  test("has one winner when a payment begins and its customer cancels at the same moment", async () => {
    for (let trial = 0; trial < 30; trial++) {
      const order = await waiting();
      const [began, cancelled] = await Promise.allSettled([order.begin(2), order.cancel()]);
      expect([began.status, cancelled.status].toSorted()).toEqual(["fulfilled", "rejected"]);
      const expected = began.status === "fulfilled" ? OrderState.PENDING_PAYMENT : OrderState.CANCELLED;
      expect((await order.read()).state).toBe(expected);
    }
  });
});

describe("an order whose checkout failed", () => {
  test("can no longer be created, in whatever order both arrive", async () => {
    for (let trial = 0; trial < 30; trial++) {
      const order = draft();
      const { orderId } = order;
      const both = [
        () => checkout().createOrder(order),
        () => checkout().abandonOrder({ orderId, reason: "INTERRUPTED" }),
      ];
      await Promise.allSettled((trial % 2 ? both : both.toReversed()).map((call) => call()));
      await checkout().abandonOrder({ orderId, reason: "INTERRUPTED" });
      const late = await refusal(checkout().createOrder(order));
      const known = await refusal(checkout().getOrder({ orderId }));
      if (known.reason === "ORDER_NOT_FOUND") expect(late.reason).toBe("ORDER_STATE_INVALID");
      else expect((await checkout().getOrder({ orderId })).order!.state).toBe(OrderState.CANCELLED);
    }
  });
});

describe("a paid order", () => {
  const paid = async () => {
    const order = await waiting();
    mall.clock.advance(1);
    await order.begin(2);
    await order.pay();
    return order;
  };

  test("that is cancelled is in the audit log, for its money goes back; an unpaid one is not", async () => {
    const [order, unpaid] = [await paid(), await waiting()];
    for (const one of [order, order, unpaid]) await one.cancel();
    expect(await mall.audit({ subject: order.orderId })).toMatchObject([
      {
        action: "CancelOrder",
        outcome: "ok",
        actor: { kind: "guest" },
        metadata: { paymentId: order.paymentId },
      },
    ]);
    expect(await mall.audit({ subject: unpaid.orderId })).toEqual([]);
  });

  test("that is cancelled sends units and money back, once", async () => {
    const order = await paid();
    const [first, second] = await Promise.all([order.cancel(), order.cancel()]);
    expect([first.order!.state, second.order!.state]).toEqual([OrderState.CANCELLED, OrderState.CANCELLED]);
    await mall.app.sweep();
    expect(asked.restocks.filter((id) => id === order.checkoutId)).toHaveLength(1);
    expect(asked.voids.filter((id) => id === order.orderId)).toHaveLength(1);
    expect(await announced(order.orderId)).toBe(1);
  });

  test("that is cancelled while the neighbours are away is undone by the sweeper", async () => {
    const order = await paid();
    asked.fails = true;
    expect((await order.cancel()).order!.state).toBe(OrderState.CANCELLED);
    mall.clock.advance(3);
    await mall.app.sweep();
    asked.fails = false;
    expect(asked.voids).not.toContain(order.orderId);
    mall.clock.advance(3);
    await Promise.all([mall.app.sweep(), mall.app.sweep()]);
    expect(asked.voids.filter((id) => id === order.orderId)).toHaveLength(1);
    expect(asked.restocks.filter((id) => id === order.checkoutId)).toHaveLength(1);
  });

  test("answers the payment that paid it also after it was cancelled, and no other", async () => {
    const order = await waiting();
    await order.pay();
    await order.cancel();
    const again = await order.pay();
    expect([again.order!.state, again.order!.paidAt !== undefined]).toEqual([OrderState.CANCELLED, true]);
    const other = { orderId: order.orderId, paymentId: mall.newId("pay") };
    expect((await refusal(checkout().markOrderPaid(other))).reason).toBe("ORDER_STATE_INVALID");
  });

  const deliver = async (data: MessageInitShape<typeof PaymentRefundedSchema>, id = crypto.randomUUID()) => {
    const token = await serviceTokens(
      "test-master-key-test-master-key-0123456789",
      "payment",
      mall.clock,
    ).tokenFor("order", eventScope);
    const event = {
      ...{ specversion: "1.0", id, source: "/mall/payment", type: PaymentRefundedSchema.typeName },
      ...{ subject: data.paymentId, time: mall.clock().toISOString(), sequence: "1" },
      data: toJson(PaymentRefundedSchema, create(PaymentRefundedSchema, data)),
    };
    const request = new Request("http://order/events", {
      method: "POST",
      headers: { "content-type": "application/cloudevents+json", "x-service-token": token },
      body: JSON.stringify(event),
    });
    expect((await mall.app.fetch(request)).status).toBe(204);
  };

  test("counts refunds in whatever order they arrive and however often, and ends REFUNDED with the last", async () => {
    for (const turn of [
      [0, 1, 2],
      [2, 0, 1],
      [1, 2, 0, 2, 1, 0],
    ]) {
      const order = await paid();
      const refunds = [100n, 500n, 3098n].map((refundedMinor, i) => ({
        id: crypto.randomUUID(),
        data: {
          ...{ orderId: order.orderId, paymentId: order.paymentId, refundedMinor, amountMinor: 1n },
          ...{ currency: "USD", inFull: i === 2 },
        },
      }));
      for (const i of turn) await deliver(refunds[i]!.data, refunds[i]!.id);
      const seen = await order.read();
      expect([seen.state, seen.refundedTotal!.minor]).toEqual([OrderState.REFUNDED, 3098n]);
      expect((await order.timeline()).filter((kind) => kind === "refunded")).toHaveLength(3);
      expect((await refusal(order.cancel())).reason).toBe("ORDER_STATE_INVALID");
    }
  });

  test("stays CANCELLED when its money is back", async () => {
    const order = await paid();
    await order.cancel();
    await deliver({
      orderId: order.orderId,
      paymentId: order.paymentId,
      refundedMinor: 3098n,
      amountMinor: 3098n,
      currency: "USD",
      inFull: true,
    });
    const seen = await order.read();
    expect([seen.state, seen.refundedTotal!.minor]).toEqual([OrderState.CANCELLED, 3098n]);
  });

  test("tells its timeline in pages, to who holds it", async () => {
    const order = await paid();
    const holder = mall.client(OrderService, { orderSecret: secretOf(order.orderId) });
    const first = await holder.listOrderEvents({ orderId: order.orderId, pageSize: 1 });
    const second = await holder.listOrderEvents({
      orderId: order.orderId,
      pageSize: 1,
      pageToken: first.nextPageToken,
    });
    expect([...first.events, ...second.events].map(({ kind }) => kind)).toEqual(["placed", "paid"]);
    expect(second.nextPageToken).toBe("");
    const stranger = mall.client(OrderService, { user: { id: mall.newId("usr") } });
    expect((await refusal(stranger.listOrderEvents({ orderId: order.orderId }))).reason).toBe(
      "ORDER_NOT_FOUND",
    );
  });
});
