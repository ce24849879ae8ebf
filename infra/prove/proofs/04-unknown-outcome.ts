import { eachBounded } from "@mall/kernel/concurrency";
import type { NewRule } from "../../payment-simulator/control-contract";
import { type Goods, stockShelves } from "../goods";
import { checkInvariants, untilSettled } from "../invariants";
import { type Context, must, type Proof, type Result } from "../proof";

const confirm = "payment_intents.confirm";

interface Case {
  name: string;
  /** What the provider does to each payment. */
  rule?: NewRule;
  webhooks?: "before" | "never";
  /** Whose processes are killed while the payments wait at the provider. */
  kills?: "payment" | "checkout";
}

const cases: readonly Case[] = [
  ...(["before", "during", "after"] as const).flatMap((when): Case[] => [
    { name: `timeout, ${when}`, rule: { operation: confirm, effect: { kind: "delay", when, ms: 6_000 } } },
    { name: `connection lost ${when}`, rule: { operation: confirm, effect: { kind: "drop", when } } },
    { name: `500 ${when}`, rule: { operation: confirm, effect: { kind: "answer", when, status: 500 } } },
    {
      name: `payment killed, ${when}`,
      rule: { operation: confirm, effect: { kind: "hold", when } },
      kills: "payment",
    },
    {
      name: `checkout killed, ${when}`,
      rule: { operation: confirm, effect: { kind: "hold", when } },
      kills: "checkout",
    },
  ]),
  { name: "answer broken off", rule: { operation: confirm, effect: { kind: "reset" } } },
  {
    name: "intent lost",
    rule: { operation: "payment_intents.create", effect: { kind: "drop", when: "after" } },
  },
  { name: "webhook first, three times", webhooks: "before" },
  {
    name: "answer lost, webhook first, three times",
    webhooks: "before",
    rule: { operation: confirm, effect: { kind: "drop", when: "after" } },
  },
  {
    name: "answer lost and no webhook",
    webhooks: "never",
    rule: { operation: confirm, effect: { kind: "drop", when: "after" } },
  },
];

const held = "held at the provider and killed";

/** What the short form leaves out, because it waits for a lease or repeats another case at another moment. */
const isLong = ({ name }: Case): boolean =>
  name.startsWith("checkout killed") ||
  name.endsWith(" during") ||
  /^(timeout|500|payment killed).* before$/.test(name);

/** Purchases that meet one trouble; each is sent once and never again. Returns how often it happened. */
async function meet(context: Context, goods: Goods, trouble: Case, buyers: number): Promise<number> {
  const { shop, cluster, random } = context;
  const { control } = cluster.provider;
  must(control !== undefined, "this proof needs the payment simulator");
  const dice = random.fork(trouble.name);
  await control.setWebhooks({
    timing: trouble.webhooks ?? "after",
    copies: trouble.webhooks === "before" ? 3 : 1,
  });
  // the library repeats a lost connection once by itself
  const times = trouble.rule?.effect.kind === "drop" ? 2 * buyers : buyers;
  const rule = trouble.rule && (await control.addRule({ ...trouble.rule, times }));
  const carts = await Promise.all(
    Array.from({ length: buyers }, () => shop.guest([{ variantId: goods.id, quantity: 1 }])),
  );
  const bought = carts.map((cart) =>
    shop.call("POST", "/v1/checkouts", shop.order(cart.cartId, "good"), { as: cart, key: dice.uuid() }),
  );
  if (trouble.kills) {
    // on a machine that is very busy, not all of them come as far
    for (const until = Date.now() + 20_000; Date.now() < until; await Bun.sleep(50))
      if ((await control.held()).length === buyers) break;
    await cluster.kill(trouble.kills);
    await cluster.ready();
    await control.release({ all: true, action: "continue" });
  }
  await Promise.all(bought);
  const fired = rule ? ((await control.rules()).find(({ id }) => id === rule.id)?.fired ?? 0) : buyers;
  await control.clearRules();
  await untilSettled(cluster);
  await control.flushWebhooks();
  await untilSettled(cluster);
  await checkInvariants(cluster);
  return fired;
}

/**
 * An outcome that is not known is never taken for a decline: whatever becomes of the provider's answer, every purchase ends
 * paid once or failed with its units back, without any request of its customer. The payment is lost on its way, executed
 * with the answer lost, answered with 500, answered after everybody's patience (before, during and after its execution),
 * overtaken by its own webhook three times, or its processes are killed with kill -9 while it stands at the provider.
 *
 * Seen failing: with a provider call that rejects taken for a decline (the catch in authorize-payment.ts settles `declined`):
 * "the provider took and gave back, once, what our books say: 2 times", captured there and nothing in our books.
 *
 * Purchases a case: short 2, without the cases that wait for a lease; default 10; full 20.
 */
export const unknownOutcome: Proof = {
  id: 4,
  name: "Unknown payment outcome",
  async run(context): Promise<Result> {
    const buyers = context.size({ short: 2, default: 10, full: 20 });
    const [goods] = await stockShelves(context.cluster, "unknown", [{ units: 100_000, priceMinor: 1999 }]);
    const faults: Record<string, number> = {};
    const chosen = context.form === "short" ? cases.filter((each) => !isLong(each)) : cases;
    await eachBounded(chosen, 1, async (trouble) => {
      const fired = await meet(context, goods!, trouble, buyers);
      must(fired > 0, `"${trouble.name}" never happened`);
      const group = trouble.kills ? held : trouble.name.replace(/,? (before|during|after)$/, "");
      faults[group] = (faults[group] ?? 0) + fired;
      context.log(`${trouble.name}: ${fired}`);
    });
    const [row] = await context.cluster.sql<{ paid: number; failed: number }[]>`
      select count(*) filter (where o.paid_at is not null)::int as paid,
        count(*) filter (where o.paid_at is null)::int as failed
      from "order".orders o join "order".order_lines l on l.order_id = o.id where l.sku like 'unknown-%'`;
    return {
      trials: chosen.length * buyers,
      faults,
      notes: [`${row!.paid} paid, ${row!.failed} orders undone`],
    };
  },
};
