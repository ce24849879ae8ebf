import { PaymentService, PaymentState } from "@mall/gen/mall/payment/v1/payment_pb";
import { eachBounded } from "@mall/kernel/concurrency";
import { idGenerator, idOf, uuidOf } from "@mall/kernel/id";
import type { Identity } from "../browser";
import { stockShelves } from "../goods";
import { insider } from "../insiders";
import { newAdmin } from "../operator";
import { type Context, must, type Proof, type Result } from "../proof";

const newId = idGenerator(() => new Date());
const currency = "USD";

/** What the provider did for one payment. */
async function bookOf({ cluster }: Context, paymentId: string) {
  const ledger = await cluster.provider.ledger(cluster.sql);
  return ledger.find((entry) => entry.paymentId === uuidOf(paymentId));
}

/** 100 parallel captures of one authorization, at two processes: it is captured once, in full, and can be voided. */
async function captures(context: Context, trials: number): Promise<number> {
  const payments = insider(context.cluster, "checkout", PaymentService);
  const random = context.random.fork("captures");
  const amounts = Array.from({ length: trials }, () => BigInt(random.int(1, 100_000)));
  const made: { paymentId: string; minor: bigint }[] = [];
  await eachBounded(amounts, 4, async (minor) => {
    const [paymentId, orderId] = [newId("pay"), newId("ord")];
    const amount = { currency, minor };
    const card = context.cluster.provider.payment("good");
    await payments.authorizePayment({ paymentId, orderId, amount, ...card, capture: false });
    const answers = await Promise.all(
      Array.from({ length: 100 }, () =>
        payments.capturePayment({ paymentId }).then(
          ({ payment }) => payment!.state,
          (error: unknown) => error,
        ),
      ),
    );
    const odd = answers.filter(
      (answer) => answer !== PaymentState.CAPTURED && answer !== PaymentState.AUTHORIZED,
    );
    must(odd.length === 0, () => `a capture of ${paymentId} ended with ${String(odd[0])}`);
    made.push({ paymentId, minor });
  });
  const ledger = new Map(
    (await context.cluster.provider.ledger(context.cluster.sql)).map((e) => [e.paymentId, e]),
  );
  for (const { paymentId, minor } of made) {
    const entry = ledger.get(uuidOf(paymentId));
    must(
      entry?.captures === 1 && entry.captured === minor,
      () => `${paymentId} of ${minor}: ${entry?.captures} captures of ${entry?.captured} at the provider`,
    );
  }
  // no order wants this money
  await eachBounded(made, 8, async ({ paymentId }) => {
    const row = await context.cluster.sql<{ order_id: string }[]>`
      select order_id from payment.payments where id = ${uuidOf(paymentId)}`;
    await payments.voidPayment({ paymentId, orderId: idOf("ord", row[0]!.order_id) });
  });
  return trials * 99;
}

/** 100 parallel refunds of parts of one payment, some of them sent twice; returns how many were refused. */
async function refundRace(
  context: Context,
  admin: Identity,
  variantId: string,
  trial: number,
): Promise<number> {
  const { shop, cluster, random } = context;
  const dice = random.fork(`refunds ${trial}`);
  const cart = await shop.guest([{ variantId, quantity: 1 }]);
  const bought = await shop.buy(cart, "good", { key: dice.uuid() });
  must(bought.kind === "bought", () => `the purchase answered ${bought.status} ${bought.text}`);
  const [payment] = await cluster.sql<{ id: string; amount: string }[]>`
    select id, amount from payment.payments where order_id = ${uuidOf(bought.orderId)}`;
  const paymentId = idOf("pay", payment!.id);
  const total = BigInt(payment!.amount);
  const path = `/v1/payments/${paymentId}/refunds`;
  const wanted = Array.from({ length: 80 }, () => ({
    key: dice.uuid(),
    minor: BigInt(dice.int(1, Number(total / 20n))),
  }));
  const sent = dice.shuffle([...wanted, ...wanted.slice(0, 20)]);
  const ask = async ({ key, minor }: { key: string; minor: bigint }) => {
    const body = { amount: { currency, minor: String(minor) } };
    return { key, minor, answer: await shop.insist("POST", path, body, { as: admin, key }) };
  };
  const answers = await Promise.all(sent.map(ask));
  const given = new Map<string, bigint>();
  let refused = 0;
  for (const { key, minor, answer } of answers) {
    if (answer.status === 201) given.set(key, minor);
    else {
      must(
        answer.status === 409 &&
          ["REFUND_EXCEEDS_PAYMENT", "PAYMENT_STATE_INVALID"].includes(answer.body.reason ?? ""),
        () => `a refund answered ${answer.status} ${answer.text}`,
      );
      refused++;
    }
  }
  const back = [...given.values()].reduce((a, b) => a + b, 0n);
  must(back <= total, () => `${back} of ${total} were given back for ${paymentId}`);
  if (back < total) {
    const rest = await shop.insist("POST", path, {}, { as: admin, key: dice.uuid() });
    must(rest.status === 201, () => `the last refund answered ${rest.status} ${rest.text}`);
  }
  const over = await shop.insist(
    "POST",
    path,
    { amount: { currency, minor: "1" } },
    { as: admin, key: dice.uuid() },
  );
  must(over.status === 409, () => `one cent more than everything answered ${over.status} ${over.text}`);
  const [made] = await cluster.sql<{ n: number }[]>`
    select count(*)::int as n from payment.refunds where payment_id = ${uuidOf(paymentId)}`;
  const asked = given.size + (back < total ? 1 : 0);
  must(made!.n === asked, () => `${made!.n} refunds of ${paymentId} were made for ${asked} keys`);
  const book = await bookOf(context, paymentId);
  must(
    book?.refunded === total && book.captured === total,
    () =>
      `${paymentId}: ${book?.captured} captured and ${book?.refunded} refunded at the provider, ${total} paid`,
  );
  return refused + 1;
}

/** A coupon for `limit` purchases that more buyers want at once, some with cards that are declined. */
async function coupon(context: Context, admin: Identity, variantId: string, trial: number): Promise<number> {
  const { shop, cluster, random } = context;
  const dice = random.fork(`coupon ${trial}`);
  const [limit, buyers] = [10, 30];
  const code = `LIMIT-${trial}-${dice.uuid().slice(0, 8)}`.toUpperCase();
  const body = { code, amount: { currency, minor: "100" }, redemptionLimit: limit };
  const made = await shop.insist("POST", "/v1/coupons", body, { as: admin, key: dice.uuid() });
  must(made.status === 201, () => `creating a coupon answered ${made.status} ${made.text}`);
  const carts = await Promise.all(
    Array.from({ length: buyers }, async (_, i) => {
      const cart = await shop.guest([{ variantId, quantity: 1 }]);
      const applied = await shop.insist("PUT", `/v1/carts/${cart.cartId}/coupon`, { code }, { as: cart });
      must(applied.status === 200, () => `a coupon on a cart answered ${applied.status} ${applied.text}`);
      return { cart, card: i % 5 === 0 ? ("declined" as const) : ("good" as const) };
    }),
  );
  let waiting = carts;
  let bought = 0;
  let refused = 0;
  while (bought < limit) {
    const outcomes = await Promise.all(
      waiting.map(async ({ cart, card }) => ({
        cart,
        purchase: await shop.buy(cart, card, { key: dice.uuid() }),
      })),
    );
    bought += outcomes.filter(({ purchase }) => purchase.kind === "bought").length;
    must(bought <= limit, () => `${bought} purchases used coupon ${code} for ${limit}`);
    const again = outcomes.filter(({ purchase }) => purchase.kind === "refused");
    for (const { purchase } of again)
      must(
        ["COUPON_NOT_APPLICABLE", "PAYMENT_DECLINED"].includes(purchase.reason),
        () => `a buyer with a coupon was answered ${purchase.status} ${purchase.text}`,
      );
    refused += again.length;
    waiting = again.map(({ cart }) => ({ cart, card: "good" as const }));
  }
  const [row] = await cluster.sql<{ redeemed: number; discounted: number }[]>`
    select redeemed, (select count(*)::int from cart.redemptions r where r.code = c.code and r.state = 'redeemed') as discounted
    from cart.coupons c where code = ${code}`;
  must(row?.redeemed === limit && row.discounted === limit, () => `coupon ${code}: ${JSON.stringify(row)}`);
  return refused;
}

/**
 * Money never exceeds what it may by a cent: 100 parallel captures of one authorization take it once; 100 parallel refunds
 * of parts of one payment, some sent twice with the same key, never give back more than was paid, and what is left can be
 * given back to the last cent; a limited coupon is redeemed exactly as often as its limit although declined purchases give
 * theirs back.
 *
 * Seen failing: without the question what is left (`refundable` in create-refund.ts), where only the CHECK of the table
 * stood: "a refund answered 500"; with each request taking a key of its own (`answers.take`), repetitions sent money back
 * again: "the last refund answered 409 … No money of a payment that is REFUNDED can go back".
 *
 * Counts (captures, refunds, coupons): short 5, 5, 2; default 200, 200, 10; full 400, 400, 20.
 */
export const money: Proof = {
  id: 6,
  name: "Money to the cent",
  async run(context): Promise<Result> {
    const { size, cluster, shop } = context;
    const trials = size({ short: 5, default: 200, full: 400 });
    const coupons = size({ short: 2, default: 10, full: 20 });
    const admin = await newAdmin(cluster, shop);
    const repeated = await captures(context, trials);
    context.log(`${trials} × 100 captures`);
    const goods = await stockShelves(
      cluster,
      "money",
      Array.from({ length: 10 }, (_, i) => ({ units: trials + coupons * 40, priceMinor: 2000 + 37 * i })),
    );
    let exceeding = 0;
    await eachBounded(Array.from({ length: trials }), 4, async (_, i) => {
      const refused = await refundRace(context, admin, goods[i % goods.length]!.id, i);
      exceeding += refused;
    });
    context.log(`${trials} × 100 refunds`);
    let late = 0;
    await eachBounded(Array.from({ length: coupons }), 2, async (_, i) => {
      const refused = await coupon(context, admin, goods[i % goods.length]!.id, i);
      late += refused;
    });
    return {
      trials: 2 * trials + coupons,
      faults: {
        "captures too many": repeated,
        "refunds beyond the payment": exceeding,
        "buyers whose coupon was used up or given back": late,
      },
      notes: [],
    };
  },
};
