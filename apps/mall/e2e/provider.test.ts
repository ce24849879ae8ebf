import { beforeAll, describe, expect, test } from "bun:test";
import { newAdmin } from "./command";
import { host, hostKind, paymentKind } from "./host";
import {
  guestWith,
  inStock,
  type Money,
  newKey,
  type Options,
  type Order,
  type Placed,
  purchase,
  rest,
} from "./shop";

const webhookPath = "/webhooks/payments/stripe";

/** Steers the simulator, by the control API of infra/payment-simulator/README.md; without a body it forgets its rules. */
async function steer(path: string, body?: object): Promise<void> {
  const { simulator } = await host();
  const answer = await fetch(`${simulator}/control/${path}`, {
    method: body ? "POST" : "DELETE",
    body: JSON.stringify(body),
  });
  expect([answer.status, await answer.text()]).toMatchObject([200, expect.anything()]);
}

const webhooksWith = async (secret: string) =>
  steer("webhooks", { endpoints: [{ url: `${(await host()).url}${webhookPath}`, secret }] });

/** Buys with one of the simulator's cards. */
async function buy(token?: string) {
  const variant = await inStock();
  const guest = await guestWith(variant);
  const payment = token ? { payment: { method: "stripe", token } } : {};
  const body = purchase(guest.cartId, undefined, payment);
  const placed = await rest<Placed>("POST", "/v1/checkouts", body, { ...guest, key: newKey() });
  return { variant, guest, placed };
}

type Told = Order & { refundedTotal: Money };

/** Reads an order until it is so, for at most 30 s: webhooks, sweeps and the cron trigger take a moment. */
async function orderThat(id: string, holder: Options, isSo: (order: Told) => boolean): Promise<Told> {
  for (const untilMs = Date.now() + 30_000; ; await Bun.sleep(100)) {
    const { order } = (await rest<{ order: Told }>("GET", `/v1/orders/${id}`, undefined, holder)).body;
    if (isSo(order) || Date.now() > untilMs) return order;
  }
}

const unitsOf = async (id: string, admin: Options) =>
  (await rest<{ stock: { available: number } }>("GET", `/v1/inventory/${id}`, undefined, admin)).body.stock
    .available;

describe.skipIf(paymentKind !== "stripe")(`a real provider's API (${hostKind})`, () => {
  let admin: Options;
  beforeAll(async () => {
    await webhooksWith("whsec_behaviour_suite");
    admin = await newAdmin();
  });

  test("takes a card, and declines another one", async () => {
    const { placed } = await buy("pm_card_visa");
    expect([placed.status, placed.body.order.state]).toEqual([201, "ORDER_STATE_PAID"]);
    const declined = (await buy("pm_card_chargeDeclined")).placed;
    expect([declined.status, (declined.body as unknown as { reason: string }).reason]).toEqual([
      402,
      "PAYMENT_DECLINED",
    ]);
  });

  test("ends a payment whose answer was lost, and is believed when it tells of it", async () => {
    const effect = { kind: "drop", when: "after" };
    // Stripe's library asks twice on one host and once on the other
    await steer("rules", { operation: "payment_intents.confirm", times: 2, effect });
    const { placed } = await buy("pm_card_visa");
    expect([201, 202]).toContain(placed.status);
    await steer("rules");
    const { order } = placed.body;
    const paid = await orderThat(
      order.id,
      { orderSecret: placed.body.orderSecret! },
      ({ state }) => state === "ORDER_STATE_PAID",
    );
    expect(paid.state).toBe("ORDER_STATE_PAID");
    const { simulator } = await host();
    await fetch(`${simulator}/control/webhooks/flush`, { method: "POST" });
    const { deliveries } = (await (await fetch(`${simulator}/control/webhooks`)).json()) as {
      deliveries: { type: string; lastStatus: number }[];
    };
    const told = deliveries.filter(({ type }) => type === "payment_intent.succeeded");
    expect(told).not.toEqual([]);
    expect(new Set(told.map(({ lastStatus }) => lastStatus))).toEqual(new Set([200]));
  });

  test("is not believed without its signature", async () => {
    const event = JSON.stringify({ id: "evt_forged", object: "event", type: "payment_intent.succeeded" });
    for (const signature of ["", `t=${Math.floor(Date.now() / 1000)},v1=${"0".repeat(64)}`]) {
      const headers = { "stripe-signature": signature };
      expect((await rest("POST", webhookPath, event, { headers })).status).toBe(400);
    }
  });

  test("gives money back, in part and then the rest, and not a cent more", async () => {
    const { placed } = await buy("pm_card_visa");
    const { order } = placed.body;
    const holder = { orderSecret: placed.body.orderSecret! };
    const { body } = await rest<{ payments: { id: string; amount: Money }[] }>(
      ...(["GET", `/v1/orders/${order.id}/payments`, undefined, holder] as const),
    );
    const [payment] = body.payments;
    const refund = (minor: bigint) =>
      rest(
        "POST",
        `/v1/payments/${payment!.id}/refunds`,
        { amount: { currency: "USD", minor: `${minor}` } },
        {
          ...admin,
          key: newKey(),
        },
      );
    const whole = BigInt(payment!.amount.minor);
    expect((await refund(100n)).status).toBe(201);
    expect((await refund(whole)).body).toMatchObject({ reason: "REFUND_EXCEEDS_PAYMENT" });
    expect((await refund(whole - 100n)).status).toBe(201);
    expect((await refund(1n)).body).toMatchObject({ reason: "PAYMENT_STATE_INVALID" });
    const given = await orderThat(
      order.id,
      holder,
      ({ refundedTotal }) => BigInt(refundedTotal.minor) === whole,
    );
    expect(BigInt(given.refundedTotal.minor)).toBe(whole);
  });

  test("an order that nobody pays is cancelled by itself, and its units are for sale again", async () => {
    const { variant, placed } = await buy();
    const { order, orderSecret } = placed.body;
    expect(order.state).toBe("ORDER_STATE_PENDING_PAYMENT");
    const held = await unitsOf(variant.id, admin);
    const cancelled = await orderThat(
      order.id,
      { orderSecret: orderSecret! },
      ({ state }) => state === "ORDER_STATE_CANCELLED",
    );
    expect(cancelled.state).toBe("ORDER_STATE_CANCELLED");
    for (const untilMs = Date.now() + 30_000; Date.now() < untilMs; await Bun.sleep(100))
      if ((await unitsOf(variant.id, admin)) > held) break;
    expect(await unitsOf(variant.id, admin)).toBeGreaterThan(held);
  });
});
