import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type CreateOrderRequestSchema, OrderService } from "@mall/gen/mall/order/v1/order_pb";
import { derivedSecrets } from "@mall/kernel/crypto/derive";
import { type Id, uuidOf } from "@mall/kernel/id";
import { dataKeysOf } from "@mall/kernel/personal/data-keys";
import { personalData } from "@mall/kernel/personal/personal";
import { type CountedDb, counted } from "@mall/kernel/testing/counted";
import { type Harness, harness, masterKey } from "@mall/kernel/testing/harness";
import { refusal } from "@mall/kernel/testing/refusal";
import { createOrderService } from "./service";

let mall: Harness;
let sent: CountedDb;
beforeAll(async () => {
  mall = await harness("order", (resources) => {
    sent = counted(resources.db);
    return createOrderService({ ...resources, db: sent.db });
  });
});
afterAll(() => mall.stop());

const address = {
  ...{ name: "Ada", line1: "1 Way", line2: "", city: "Austin" },
  ...{ region: "TX", postalCode: "78701", country: "US" },
};

const usd = (minor: bigint) => ({ currency: "USD", minor });
const checkout = () => mall.client(OrderService, { service: "checkout" });

/** An order of a user, or of a guest without one, and what its holder does with it. */
async function placed(userId?: Id<"usr">) {
  const orderId = mall.newId("ord");
  const items = [
    {
      ...{ variantId: mall.newId("var"), productId: mall.newId("prod"), sku: "MUG", title: "Mug" },
      ...{ quantity: 1, unitPrice: usd(1200n), total: usd(1200n) },
    },
  ];
  const none = usd(0n);
  const totals = { subtotal: usd(1200n), discountTotal: none, shippingTotal: none, taxTotal: none };
  const request: MessageInitShape<typeof CreateOrderRequestSchema> = {
    ...{ orderId, checkoutId: mall.newId("chk"), userId: userId ?? "", items },
    ...{ totals: { ...totals, total: usd(1200n) }, email: "ada@example.com", shippingAddress: address },
    shippingOption: "standard",
    expiresAt: { seconds: BigInt(mall.clock().getTime() / 1000 + 3600) },
  };
  await checkout().createOrder(request);
  const orderSecret = derivedSecrets(masterKey).secretOf("order", orderId, 1);
  const holder = mall.client(OrderService, userId ? { user: { id: userId } } : { orderSecret });
  const read = async () => (await holder.getOrder({ orderId })).order!;
  return { orderId, request, holder, read };
}

/** What is stored of an order. */
async function stored(orderId: string) {
  const [row] = await mall.db.sql`
    select email, shipping_address, cancel_reason, personal from "order".orders where id = ${uuidOf(orderId)}`;
  return row as { email: string; shipping_address: object; cancel_reason: string; personal: Buffer | null };
}

/** Puts an order back as it was stored before its person was sealed. */
async function unseal(orderId: string, cancelReason = ""): Promise<void> {
  await mall.db.sql`update "order".orders set personal = null, email = 'ada@example.com',
      shipping_address = ${JSON.stringify(address)}::text::jsonb, cancel_reason = ${cancelReason}
    where id = ${uuidOf(orderId)}`;
}

const personal = () => personalData("order", dataKeysOf("order", masterKey, mall.clock));
const erase = (subject: Id) => mall.db.tx((tx) => personal().erase(tx, subject));

describe("the person of an order", () => {
  test("is stored sealed, with a key of the user, or of the order for a guest", async () => {
    for (const userId of [mall.newId("usr"), undefined]) {
      const { orderId, read } = await placed(userId);
      expect(await read()).toMatchObject({ email: "ada@example.com", shippingAddress: address });
      expect(await stored(orderId)).toMatchObject({ email: "", shipping_address: {}, cancel_reason: "" });
      const keys = await mall.db.sql`
        select 1 from "order".data_keys where subject = ${uuidOf(userId ?? orderId)} and wrapped is not null`;
      expect(keys).toHaveLength(1);
    }
  });

  test("costs one statement when it is stored, and none when it is read", async () => {
    const userId = mall.newId("usr");
    const count = async (run: () => Promise<unknown>) => {
      const before = sent.statements();
      await run();
      return sent.statements() - before;
    };
    const { read } = await placed(userId);
    for (const buyer of [userId, undefined]) {
      // the key, the order with its lines, the event
      expect(await count(() => placed(buyer))).toBe(3);
    }
    expect(await count(read)).toBe(1);
  });

  test("is an error when the bytes of another order stand there", async () => {
    const userId = mall.newId("usr");
    const [one, other] = [await placed(userId), await placed(userId)];
    await mall.db.sql`update "order".orders set personal =
        (select personal from "order".orders where id = ${uuidOf(other.orderId)})
      where id = ${uuidOf(one.orderId)}`;
    expect((await refusal(one.read())).code).toBe("Internal");
    expect((await other.read()).email).toBe("ada@example.com");
  });

  test("is gone when the user is erased, and the order stays", async () => {
    const userId = mall.newId("usr");
    const { orderId, read, holder } = await placed(userId);
    const guest = await placed();
    await erase(userId);
    const order = await read();
    expect(order).toMatchObject({ id: orderId, email: "", shippingOption: "standard" });
    expect(order.shippingAddress).toBeUndefined();
    expect((await holder.listOrders({})).orders).toHaveLength(1);
    expect((await holder.cancelOrder({ orderId, reason: "I moved" })).order?.cancelReason).toBe("CUSTOMER");
    expect((await guest.read()).email).toBe("ada@example.com");
    expect((await refusal(placed(userId))).reason).toBe("ACCOUNT_NOT_FOUND");
  });

  test("takes the words of a cancellation, and nobody else hears them", async () => {
    const { orderId, holder, read } = await placed();
    await holder.cancelOrder({ orderId, reason: "I moved to Elm Street" });
    expect((await read()).cancelReason).toBe("I moved to Elm Street");
    const { events } = await holder.listOrderEvents({ orderId });
    expect(events.at(-1)).toMatchObject({ kind: "cancelled", detail: "I moved to Elm Street" });
    expect((await stored(orderId)).cancel_reason).toBe("CUSTOMER");
    const told = await mall.db.sql`select data::text as told from "order".outbox where subject = ${orderId}
      union all select detail from "order".order_events where order_id = ${uuidOf(orderId)}`;
    expect(told.length).toBeGreaterThan(2);
    expect(JSON.stringify(told)).not.toContain("Elm");
    expect((await read()).email).toBe("ada@example.com");
  });
});

test("a sealed order cannot have its person in the clear as well", async () => {
  const { orderId } = await placed();
  const columns = [
    "email = 'ada@example.com'",
    `shipping_address = '{"name": "Ada"}'`,
    "cancel_reason = 'I moved'",
  ];
  for (const column of columns) {
    const update = mall.db.sql.unsafe(`update "order".orders set ${column} where id = $1`, [uuidOf(orderId)]);
    await expect(update.execute()).rejects.toThrow("orders_sealed");
  }
});

describe("an order from before persons were sealed", () => {
  test("is read, changed and sealed without anybody noticing", async () => {
    const [kept, cancelled] = [await placed(mall.newId("usr")), await placed()];
    await unseal(kept.orderId);
    await cancelled.holder.cancelOrder({ orderId: cancelled.orderId });
    await unseal(cancelled.orderId, "I moved to Elm Street");
    const told = async () =>
      (await cancelled.holder.listOrderEvents({ orderId: cancelled.orderId })).events.at(-1)!.detail;
    const before = [await kept.read(), await cancelled.read()];
    expect(before.map(({ cancelReason }) => cancelReason)).toEqual(["", "I moved to Elm Street"]);
    expect(await told()).toBe("I moved to Elm Street");
    expect(await mall.app.dataKeys.isClearLeft()).toBe(true);
    expect(await mall.app.dataKeys.seal()).toBe(2);
    expect(await mall.app.dataKeys.isClearLeft()).toBe(false);
    expect([await kept.read(), await cancelled.read()]).toEqual(before);
    expect(await told()).toBe("I moved to Elm Street");
    expect(await stored(cancelled.orderId)).toMatchObject({
      ...{ email: "", shipping_address: {}, cancel_reason: "CUSTOMER" },
    });
  });

  test("is sealed by the sweep", async () => {
    const { orderId } = await placed();
    await unseal(orderId);
    mall.clock.advance(61);
    await mall.app.sweep();
    expect((await stored(orderId)).personal).not.toBeNull();
  });

  test("is sealed at once when its customer says why it is cancelled", async () => {
    const { orderId, holder, read } = await placed();
    await unseal(orderId);
    await holder.cancelOrder({ orderId, reason: "I moved" });
    expect(await stored(orderId)).toMatchObject({
      email: "",
      shipping_address: {},
      cancel_reason: "CUSTOMER",
    });
    expect(await read()).toMatchObject({ email: "ada@example.com", cancelReason: "I moved" });
  });

  test("can be sealed while it is worked on, by several at once", async () => {
    const orders = await Promise.all(Array.from({ length: 30 }, () => placed()));
    for (const { orderId } of orders) await unseal(orderId);
    const [sealed] = await Promise.all([
      Promise.all([mall.app.dataKeys.seal(), mall.app.dataKeys.seal()]),
      ...orders.map(({ orderId, holder }) => holder.cancelOrder({ orderId, reason: `words of ${orderId}` })),
    ]);
    await mall.app.dataKeys.seal();
    expect(sealed.reduce((sum, count) => sum + count)).toBeLessThanOrEqual(30);
    for (const { orderId, read } of orders)
      expect(await read()).toMatchObject({ email: "ada@example.com", cancelReason: `words of ${orderId}` });
  });
});

test("an order is kept without its person once the user was deleted", async () => {
  const userId = mall.newId("usr");
  const [{ orderId }, other] = [await placed(userId), await placed(mall.newId("usr"))];
  const event = { id: crypto.randomUUID(), type: "mall.user.v1.UserDeleted", data: { userId } };
  await mall.app.handle(event);
  await mall.app.handle(event);
  const [row] = await mall.db.sql`select k.wrapped from "order".orders o
    join "order".data_keys k on k.subject = o.user_id where o.id = ${uuidOf(orderId)}`;
  expect(row).toEqual({ wrapped: null });
  expect(await other.read()).toMatchObject({ email: "ada@example.com" });
  expect(await mall.audit({ subject: userId })).toMatchObject([{ action: "ErasePersonalData" }]);
});
