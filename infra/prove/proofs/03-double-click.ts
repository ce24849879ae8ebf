import { eachBounded } from "@mall/kernel/concurrency";
import { mustBeBoughtOnce } from "../books";
import type { Answer } from "../browser";
import { type Goods, stockShelves } from "../goods";
import { type Context, must, type Proof, type Result } from "../proof";
import type { CartRef } from "../shop";

const clicks = 50;
const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

interface Customer {
  context: Context;
  cart: CartRef;
  key: string;
  name: string;
}

async function customer(context: Context, goods: Goods, name: string): Promise<Customer> {
  const cart = await context.shop.guest([{ variantId: goods.id, quantity: 1 }]);
  return { context, cart, key: context.random.fork(name).uuid(), name };
}

const isReplay = ({ headers }: Answer): boolean => headers.get("idempotent-replayed") === "true";

/** Clicks once more and waits for the final answer. */
async function click({ context, cart, key }: Customer): Promise<Answer> {
  const { shop } = context;
  for (;;) {
    const answer = await shop.insist("POST", "/v1/checkouts", shop.order(cart.cartId, "good"), {
      as: cart,
      key,
    });
    if (answer.status !== 202) return answer;
    await Bun.sleep(250);
  }
}

/** All answers are the same bytes, and at most one of them was not a replay. */
function mustAgree(answers: readonly Answer[], name: string): void {
  const [first] = answers;
  for (const { status, text } of answers)
    must(
      status === 201 && text === first!.text,
      () => `${name}: ${status} ${text} beside ${first!.status} ${first!.text}`,
    );
  const originals = answers.filter((answer) => !isReplay(answer)).length;
  must(originals <= 1, () => `${name}: ${originals} of ${answers.length} answers were no replay`);
}

/** 50 parallel identical requests on all gateways and checkout processes. */
async function sameRequest(context: Context, goods: Goods, name: string): Promise<number> {
  const someone = await customer(context, goods, name);
  const answers = await Promise.all(times(clicks, () => click(someone)));
  mustAgree(answers, name);
  await mustBeBoughtOnce(context.cluster, someone.cart.cartId, name);
  return answers.filter(isReplay).length;
}

/** The key again with another body, while the first request runs and after it. */
async function otherBody(context: Context, goods: Goods, name: string): Promise<number> {
  const someone = await customer(context, goods, name);
  const { cart, key } = someone;
  const other = { ...context.shop.order(cart.cartId, "good"), email: "eve@example.com" };
  const refused = (answer: Answer) =>
    answer.status === 422 && answer.body.reason === "IDEMPOTENCY_KEY_REUSED";
  const [first, ...during] = await Promise.all([
    click(someone),
    ...times(5, async () => {
      await Bun.sleep(5);
      return context.shop.insist("POST", "/v1/checkouts", other, { as: cart, key });
    }),
  ]);
  // whichever body came first owns the key
  const otherWon = during.some(({ status }) => status === 201);
  const wrong = otherWon ? [first!] : during;
  for (const answer of wrong)
    must(refused(answer), () => `${name}: another body was answered ${answer.status} ${answer.text}`);
  const after = await context.shop.insist(
    "POST",
    "/v1/checkouts",
    { ...context.shop.order(cart.cartId, "good"), email: "mallory@example.com" },
    { as: cart, key },
  );
  must(refused(after), () => `${name}: another body was answered ${after.status} ${after.text}`);
  await mustBeBoughtOnce(context.cluster, cart.cartId, name);
  return wrong.length + 1;
}

/** One cart with ten keys at once. */
async function otherKeys(context: Context, goods: Goods, name: string): Promise<number> {
  const { cart } = await customer(context, goods, name);
  const keys = context.random.fork(`${name} keys`);
  const answers = await Promise.all(times(10, () => click({ context, cart, key: keys.uuid(), name })));
  const bought = answers.filter(({ status }) => status === 201);
  must(bought.length === 1, () => `${name}: ${bought.length} of 10 keys bought one cart`);
  for (const { status, body, text } of answers) {
    const known = status === 409 && ["CART_LOCKED", "CART_CONVERTED"].includes(body.reason ?? "");
    must(status === 201 || known, () => `${name}: the second key was answered ${status} ${text}`);
  }
  await mustBeBoughtOnce(context.cluster, cart.cartId, name);
  return answers.length - 1;
}

/** Paying one waiting order with the same key 25 times and with 25 keys once. */
async function payTwice(context: Context, goods: Goods, name: string): Promise<number> {
  const { shop } = context;
  const { cart, key } = await customer(context, goods, name);
  const waiting = await shop.insist<{ checkout: { id: string } }>(
    "POST",
    "/v1/checkouts",
    shop.order(cart.cartId),
    { as: cart, key },
  );
  must(waiting.status === 201, () => `${name}: ${waiting.status} ${waiting.text}`);
  const path = `/v1/checkouts/${waiting.body.checkout.id}/pay`;
  const payment = shop.order(cart.cartId, "good").payment;
  const keys = context.random.fork(`${name} keys`);
  const same = keys.uuid();
  const all = [...times(25, () => same), ...times(25, () => keys.uuid())];
  const answers = await Promise.all(
    all.map((each) => shop.insist("POST", path, { payment }, { as: cart, key: each })),
  );
  const paid = new Set(answers.filter(({ status }) => status === 200).map(({ text }) => text));
  must(paid.size === 1, () => `${name}: paid with ${paid.size} different answers`);
  for (const { status, body, text } of answers)
    must(status === 200 || body.reason === "CHECKOUT_STATE_INVALID", () => `${name}: ${status} ${text}`);
  await mustBeBoughtOnce(context.cluster, cart.cartId, name);
  return answers.length - 1;
}

/** Boundaries at which the processes are killed while everybody clicks. */
const boundaries = [
  { rpc: "ReserveStock", at: "after" },
  { rpc: "AuthorizePayment", at: "before" },
  { rpc: "AuthorizePayment", at: "after" },
  { rpc: "ClaimStock", at: "before" },
] as const;

/**
 * Parks one purchase at each boundary while its customer clicks, kills every process of the checkout and the gateway,
 * and lets the customer click on; then kills them again and asks once more.
 */
async function killed(
  context: Context,
  goods: Goods,
  round: number,
): Promise<{ kills: number; replays: number }> {
  const { cluster } = context;
  const { tap } = cluster;
  const customers = await Promise.all(
    boundaries.map(({ rpc, at }) => customer(context, goods, `killed ${round} ${at} ${rpc}`)),
  );
  const rules = boundaries.map(({ rpc, at }, i) =>
    // as in the crash sweep: what has no answer for a second may be asked again beside
    tap.rule({ rpc, at, does: "park", subject: customers[i]!.cart.cartId, times: 3 }),
  );
  const clicking = customers.map((each) => Promise.all(times(5, () => click(each))));
  for (const until = Date.now() + 4_000; rules.some(({ parked }) => parked === 0) && Date.now() < until; )
    await Bun.sleep(10);
  for (const rule of rules) rule.close();
  const kills = rules.filter(({ parked }) => parked > 0).length;
  await Promise.all([cluster.kill("checkout"), cluster.kill("gateway")]);
  for (const rule of rules) rule.release("deliver");
  const answers = await Promise.all(clicking);
  for (const rule of rules) rule.remove();
  for (const [i, each] of answers.entries()) mustAgree(each, customers[i]!.name);
  await Promise.all([cluster.kill("checkout"), cluster.kill("gateway"), cluster.postgres.crash()]);
  await cluster.ready();
  let replays = 0;
  for (const [i, each] of customers.entries()) {
    const again = await click(each);
    must(
      isReplay(again),
      () => `${each.name}: the answer after kill -9 was no replay: ${again.status} ${again.text}`,
    );
    mustAgree([answers[i]![0]!, again].slice(0, 2), each.name);
    await mustBeBoughtOnce(cluster, each.cart.cartId, each.name);
    replays++;
  }
  return { kills, replays };
}

/**
 * A request that is repeated has one effect. 50 parallel identical requests, the same key with another body, ten keys
 * for one cart, paying twice, and a replay after kill -9 of checkout, gateway and PostgreSQL in the middle of it and
 * again after it: one order, one hold, one capture, and the same bytes.
 *
 * Counts (trials of each kind; rounds of kills with 4 purchases each): short 4, 1; default 25, 5; full 50, 10.
 *
 * Seen failing: when PlaceOrder did not take the key with the row of the checkout (`answers.take`): "same request 1: 409
 * CART_LOCKED", because every click was a checkout of its own.
 */
export const doubleClick: Proof = {
  id: 3,
  name: "Double click",
  async run(context): Promise<Result> {
    const count = context.size({ short: 4, default: 25, full: 50 });
    const rounds = context.size({ short: 1, default: 5, full: 10 });
    const [goods] = await stockShelves(context.cluster, "click", [{ units: 1_000_000, priceMinor: 1999 }]);
    const faults = {
      replays: 0,
      "keys with another body": 0,
      "late keys": 0,
      "late payments": 0,
      "checkouts killed": 0,
    };
    await eachBounded(times(count, String), 2, async (i) => {
      const replays = await sameRequest(context, goods!, `same request ${i}`);
      const reused = await otherBody(context, goods!, `other body ${i}`);
      const late = await otherKeys(context, goods!, `other keys ${i}`);
      const payments = await payTwice(context, goods!, `pay twice ${i}`);
      faults.replays += replays;
      faults["keys with another body"] += reused;
      faults["late keys"] += late;
      faults["late payments"] += payments;
    });
    context.log(`${4 * count} double clicks`);
    for (let round = 0; round < rounds; round++) {
      const { kills, replays } = await killed(context, goods!, round);
      faults["checkouts killed"] += kills;
      faults.replays += replays;
    }
    return { trials: 4 * count + boundaries.length * rounds, faults, notes: [] };
  },
};
