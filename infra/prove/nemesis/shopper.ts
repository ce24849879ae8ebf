import type { Identity } from "../browser";
import type { Goods } from "../goods";
import { must } from "../proof";
import type { CartRef, Purchase, Shop } from "../shop";
import type { Operation } from "./plan";

/** What a shopper was promised: it has to be true at the end. */
export interface Promised {
  orderId: string;
  was: "paid" | "declined" | "cancelled";
}

/** An order of a shopper. */
interface Placed {
  orderId: string;
  orderSecret: string;
}

/** What all shoppers meet. */
export interface Mart {
  shop: Shop;
  goods: readonly Goods[];
  coupon: string;
  staff: Identity;
  /** When the shopping began. */
  startedMs: number;
  /** The shopping goes on as long as this says so. */
  isOpen(): boolean;
}

/** One shopper, who does what is planned, one thing after the other. */
export interface Shopper extends Mart {
  orders: Placed[];
  promised: Promised[];
  /** What was done, in the order in which it was done. */
  issued: Operation[];
}

export const newShopper = (mart: Mart): Shopper => ({ ...mart, orders: [], promised: [], issued: [] });

/** Business refusals that a shopper may meet at any time. */
const refusals = new Set([
  ...["OUT_OF_STOCK", "PAYMENT_DECLINED", "COUPON_NOT_APPLICABLE", "CART_LOCKED", "CART_CONVERTED"],
  ...["CHECKOUT_EXPIRED", "CHECKOUT_STATE_INVALID", "ORDER_STATE_INVALID", "VERSION_MISMATCH"],
  ...["REFUND_EXCEEDS_PAYMENT", "PAYMENT_STATE_INVALID", "PAYMENT_REFUSED"],
]);

/** Throws unless an answer is a success or a refusal that belongs to shopping. */
function mustBeCivil(
  answer: { status: number; text: string },
  reason: string | undefined,
  what: string,
): void {
  const civil = answer.status < 300 || refusals.has(reason ?? "");
  must(civil, () => `${what} was answered ${answer.status} ${answer.text}`);
}

type Does<Name extends Operation["does"]> = Extract<Operation, { does: Name }>;

function cartFor({ shop, goods, coupon }: Shopper, operation: Does<"buy" | "pay later">): Promise<CartRef> {
  const lines = operation.lines.map(({ goods: index, quantity }) => ({
    variantId: goods[index]!.id,
    quantity,
  }));
  return shop.guest(lines, operation.coupon ? coupon : undefined);
}

function remember(shopper: Shopper, { kind, orderId, orderSecret, reason }: Purchase): void {
  if (orderId && orderSecret) shopper.orders.push({ orderId, orderSecret });
  if (kind === "bought") shopper.promised.push({ orderId, was: "paid" });
  if (reason === "PAYMENT_DECLINED" && orderId) shopper.promised.push({ orderId, was: "declined" });
}

async function buy(shopper: Shopper, operation: Does<"buy">): Promise<void> {
  const { key, card, abandonAfterMs } = operation;
  const cart = await cartFor(shopper, operation);
  const purchase = await shopper.shop.buy(cart, card, { key, abandonAfterMs });
  mustBeCivil(purchase, purchase.reason, "a purchase");
  remember(shopper, purchase);
}

async function payLater(shopper: Shopper, operation: Does<"pay later">): Promise<void> {
  const { key, cards, payKeys } = operation;
  const { shop, orders, promised } = shopper;
  const cart = await cartFor(shopper, operation);
  const placed = await shop.insist("POST", "/v1/checkouts", shop.order(cart.cartId), { as: cart, key });
  mustBeCivil(placed, placed.body.reason, "placing an order");
  if (placed.status !== 201) return;
  const { checkout, order, orderSecret } = placed.body as unknown as {
    checkout: { id: string };
    order: { id: string };
    orderSecret: string;
  };
  orders.push({ orderId: order.id, orderSecret });
  for (const [i, card] of cards.entries()) {
    const { payment } = shop.order(cart.cartId, card);
    const path = `/v1/checkouts/${checkout.id}/pay`;
    const paid = await shop.insist("POST", path, { payment }, { as: { orderSecret }, key: payKeys[i]! });
    mustBeCivil(paid, paid.body.reason, "paying an order");
    if (paid.status === 200) promised.push({ orderId: order.id, was: "paid" });
    if (paid.status !== 402) return;
  }
}

async function cancel({ shop, orders, promised }: Shopper, { back }: Does<"cancel">): Promise<void> {
  const placed = orders.at(-1 - back);
  if (!placed) return;
  const { orderId, orderSecret } = placed;
  const answer = await shop.insist("POST", `/v1/orders/${orderId}/cancel`, {}, { as: { orderSecret } });
  mustBeCivil(answer, answer.body.reason, "cancelling");
  if (answer.status === 200) promised.push({ orderId, was: "cancelled" });
}

interface SeenPayment {
  id: string;
  state: string;
  amount: { currency: string; minor: string };
}

async function refund(
  { shop, orders, staff }: Shopper,
  { key, back, percent }: Does<"refund">,
): Promise<void> {
  const placed = orders.at(-1 - back);
  if (!placed) return;
  const { orderId, orderSecret } = placed;
  const path = `/v1/orders/${orderId}/payments`;
  const as = { orderSecret };
  const seen = await shop.insist<{ payments: SeenPayment[] }>("GET", path, undefined, { as });
  mustBeCivil(seen, seen.body.reason, "listing payments");
  const payment = seen.body.payments.find(({ state }) => state === "PAYMENT_STATE_CAPTURED");
  if (!payment) return;
  const minor = (BigInt(payment.amount.minor) * BigInt(percent) + 99n) / 100n;
  const amount = { ...payment.amount, minor: String(minor) };
  const answer = await shop.insist(
    ...(["POST", `/v1/payments/${payment.id}/refunds`, { amount }, { as: staff, key }] as const),
  );
  mustBeCivil(answer, answer.body.reason, "refunding");
}

/** The staff counts or receives goods. */
async function restock(
  { shop, goods, staff }: Shopper,
  operation: Does<"adjust" | "receive">,
): Promise<void> {
  const path = `/v1/inventory/${goods[operation.goods]!.id}/${operation.does}`;
  const body =
    operation.does === "receive"
      ? { quantity: operation.quantity }
      : { delta: operation.delta, note: "counted" };
  const answer = await shop.insist("POST", path, body, { as: staff, key: operation.key });
  mustBeCivil(answer, answer.body.reason, operation.does);
}

async function perform(shopper: Shopper, operation: Operation): Promise<void> {
  switch (operation.does) {
    case "browse": {
      const seen = await shopper.shop.insist("GET", `/v1/products?pageSize=${operation.page}`);
      return must(seen.status === 200, () => `browsing was answered ${seen.status} ${seen.text}`);
    }
    case "buy":
      return buy(shopper, operation);
    case "pay later":
      return payLater(shopper, operation);
    case "cancel":
      return cancel(shopper, operation);
    case "refund":
      return refund(shopper, operation);
    default:
      return restock(shopper, operation);
  }
}

/** Does what is planned, in time or as soon as the operation before has ended. */
export async function goShopping(shopper: Shopper, operations: readonly Operation[]): Promise<void> {
  for (const operation of operations) {
    await Bun.sleep(Math.max(0, shopper.startedMs + operation.atMs - performance.now()));
    if (!shopper.isOpen()) return;
    shopper.issued.push(operation);
    await perform(shopper, operation);
  }
}
