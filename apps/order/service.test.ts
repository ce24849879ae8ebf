import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Code, type ConnectError } from "@connectrpc/connect";
import { OrderService, OrderState } from "@mall/gen/mall/order/v1/order_pb";
import { derivedSecrets } from "@mall/kernel/crypto/derive";
import { faultInfo } from "@mall/kernel/fault";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { createOrderService } from "./service";

let mall: Harness;
beforeAll(async () => {
  mall = await harness("order", createOrderService);
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

async function refusal(promise: Promise<unknown>) {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e as ConnectError,
  );
  return { code: error && Code[error.code], reason: faultInfo(error)?.reason };
}

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

  test("is paid once and then cannot be cancelled", async () => {
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
    expect((await refusal(checkout().cancelOrder({ orderId: asked.orderId, reason: "TEST" }))).reason).toBe(
      "ORDER_STATE_INVALID",
    );
  });

  test("that is paid and cancelled at once has one outcome", async () => {
    for (let i = 0; i < 20; i++) {
      const asked = draft();
      await checkout().createOrder(asked);
      const results = await Promise.allSettled([
        checkout().markOrderPaid({ orderId: asked.orderId, paymentId: mall.newId("pay") }),
        checkout().cancelOrder({ orderId: asked.orderId, reason: "TEST" }),
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
      expect((await refusal(mall.client(OrderService, as).cancelOrder(asked))).code).toBe("PermissionDenied");
    }
    expect((await refusal(mall.client(OrderService, { service: "cart" }).cancelOrder(asked))).code).toBe(
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
