import { expect, test } from "bun:test";
import { anIntent, aSimulator, failureOf, paid } from "./testing";

const hundred = <T>(run: (n: number) => Promise<T>) =>
  Promise.all(Array.from({ length: 100 }, (_, n) => run(n)));

test("100 parallel confirms with one key take the money once", async () => {
  await using bench = await aSimulator();
  const { stripe, control } = bench;
  const { id } = await stripe.paymentIntents.create(anIntent());
  const idempotencyKey = crypto.randomUUID();
  const all = await hundred(() =>
    stripe.paymentIntents.confirm(id, { payment_method: "tok_ok" }, { idempotencyKey }),
  );
  expect(new Set(all.map((intent) => JSON.stringify(intent))).size).toBe(1);
  expect((await control.ledger()).sums).toMatchObject([{ authorized: 1000, captured: 1000, captures: 1 }]);
  expect((await control.requests())["payment_intents.confirm"]).toEqual({
    received: 100,
    executed: 1,
    replayed: 99,
    faulted: 0,
  });
});

test("100 parallel confirms and captures with keys of their own have one winner", async () => {
  await using bench = await aSimulator();
  const { stripe, control } = bench;
  const { id } = await stripe.paymentIntents.create(anIntent({ capture_method: "manual" }));
  for (const run of [
    () => stripe.paymentIntents.confirm(id, { payment_method: "tok_ok" }),
    () => stripe.paymentIntents.capture(id, { amount_to_capture: 900 }),
  ]) {
    const all = await Promise.allSettled(Array.from({ length: 100 }, run));
    expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  }
  expect((await control.ledger()).sums).toMatchObject([
    { authorized: 1000, captured: 900, canceled: 100, captures: 1, held: 0 },
  ]);
});

test("100 parallel refunds never give back more than was taken", async () => {
  await using bench = await aSimulator();
  const { stripe, control } = bench;
  const { id } = await paid(bench);
  const outcomes = await hundred((n) =>
    stripe.refunds.create({ payment_intent: id, amount: 30 + (n % 5) }).then(
      ({ amount }) => amount,
      async () => 0,
    ),
  );
  const given = outcomes.reduce((sum, amount) => sum + amount, 0);
  expect(given).toBeGreaterThan(900);
  expect(given).toBeLessThanOrEqual(1000);
  expect((await control.ledger()).sums).toMatchObject([{ captured: 1000, refunded: given }]);
});

test("captures against cancels of one intent: the money is either taken or let go", async () => {
  await using bench = await aSimulator();
  const { stripe, control } = bench;
  for (let trial = 0; trial < 10; trial++) {
    const { id } = await paid(bench, { capture_method: "manual" });
    const runs = Array.from({ length: 20 }, (_, n) =>
      n % 2 === 0 ? stripe.paymentIntents.capture(id) : stripe.paymentIntents.cancel(id),
    );
    const outcomes = await Promise.allSettled(runs);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const [sum] = (await control.ledger({ paymentIntent: id })).sums;
    expect(sum).toMatchObject({ authorized: 1000, held: 0 });
    expect([0, 1000]).toContain(sum!.captured);
  }
});

test("a repetition after a lost answer finds what was done", async () => {
  await using bench = await aSimulator();
  const { stripe, control } = bench;
  await control.addRule({ operation: "refunds.create", times: 2, effect: { kind: "drop", when: "after" } });
  const { id } = await paid(bench);
  const idempotencyKey = crypto.randomUUID();
  const refund = () => stripe.refunds.create({ payment_intent: id, amount: 10 }, { idempotencyKey });
  expect((await failureOf(refund())).type).toBe("StripeConnectionError");
  expect((await refund()).amount).toBe(10);
  expect((await control.ledger()).sums).toMatchObject([{ refunded: 10 }]);
});
