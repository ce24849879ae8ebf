import { expect, test } from "bun:test";
import { anIntent, aSimulator, failureOf, libraryAt, paid } from "./testing";

const key = () => ({ idempotencyKey: crypto.randomUUID() });
const headersOf = (object: { lastResponse: { headers?: unknown } }) =>
  object.lastResponse as unknown as { headers: Headers };

test("the same key gets the same answer, declines too, and nothing happens twice", async () => {
  await using bench = await aSimulator();
  const { stripe, control } = bench;
  const [params, options] = [{ ...anIntent(), confirm: true, payment_method: "tok_ok" }, key()];
  const first = await stripe.paymentIntents.create(params, options);
  const again = await stripe.paymentIntents.create(params, options);
  expect(again).toEqual(first);
  expect(headersOf(first).headers.get("idempotent-replayed")).toBeNull();
  expect(headersOf(again).headers.get("idempotent-replayed")).toBe("true");
  expect(headersOf(again).headers.get("original-request")).toBe(first.lastResponse.requestId);
  expect((await control.ledger()).sums).toMatchObject([{ captured: 1000, captures: 1 }]);

  const { id } = await stripe.paymentIntents.create(anIntent());
  const declined = key();
  const decline = () =>
    failureOf(stripe.paymentIntents.confirm(id, { payment_method: "tok_declined" }, declined));
  const refused = await decline();
  await stripe.paymentIntents.confirm(id, { payment_method: "tok_ok" });
  const replayed = await decline();
  expect(replayed).toMatchObject({ statusCode: 402, code: "card_declined", charge: refused.charge });
  expect(replayed.headers?.["idempotent-replayed"]).toBe("true");
});

test("a refusal of what was executed is remembered, one of the parameters is not", async () => {
  await using bench = await aSimulator();
  const { stripe } = bench;
  const made = await stripe.paymentIntents.create({ ...anIntent(), capture_method: "manual" });
  const [early, wrong] = [key(), key()];
  expect(await failureOf(stripe.paymentIntents.capture(made.id, {}, early))).toMatchObject({
    statusCode: 400,
  });
  await failureOf(stripe.paymentIntents.capture(made.id, { amount_to_capture: -1 }, wrong));
  await stripe.paymentIntents.confirm(made.id, { payment_method: "tok_ok" });
  const replayed = await failureOf(stripe.paymentIntents.capture(made.id, {}, early));
  expect(replayed.headers?.["idempotent-replayed"]).toBe("true");
  const captured = await stripe.paymentIntents.capture(made.id, { amount_to_capture: 1000 }, wrong);
  expect(captured.status).toBe("succeeded");
});

test("a key with other parameters or for another endpoint is refused", async () => {
  await using bench = await aSimulator();
  const { stripe } = bench;
  const options = key();
  const { id } = await stripe.paymentIntents.create(anIntent(), options);
  const other = await failureOf(stripe.paymentIntents.create(anIntent({ amount: 2000 }), options));
  expect(other).toMatchObject({
    type: "StripeIdempotencyError",
    statusCode: 400,
    rawType: "idempotency_error",
  });
  const elsewhere = await failureOf(stripe.paymentIntents.cancel(id, {}, options));
  expect(elsewhere).toMatchObject({ type: "StripeIdempotencyError", statusCode: 400 });
  expect(elsewhere.message).toContain("same endpoint");
  expect((await stripe.paymentIntents.list()).data).toHaveLength(1);
});

test("a key is taken while its first request executes", async () => {
  await using bench = await aSimulator();
  const { stripe, control } = bench;
  await control.addRule({
    operation: "payment_intents.create",
    times: 1,
    effect: { kind: "hold", when: "during" },
  });
  const [params, options] = [anIntent(), key()];
  const first = stripe.paymentIntents.create(params, options);
  await control.held({ count: 1 });
  const second = await failureOf(stripe.paymentIntents.create(params, options));
  expect(second).toMatchObject({ statusCode: 409, code: "idempotency_key_in_use" });
  await control.release({ all: true });
  const made = await first;
  expect((await stripe.paymentIntents.create(params, options)).id).toBe(made.id);
  expect((await stripe.paymentIntents.list()).data).toHaveLength(1);
});

test("the library's own repetition waits out a key that is in use", async () => {
  await using bench = await aSimulator();
  const { control } = bench;
  await control.addRule({ times: 1, effect: { kind: "delay", when: "during", ms: 300 } });
  const patient = libraryAt(bench.url, { maxNetworkRetries: 5 });
  const [params, options] = [anIntent(), key()];
  const made = await Promise.all([
    patient.paymentIntents.create(params, options),
    patient.paymentIntents.create(params, options),
  ]);
  expect(new Set(made.map(({ id }) => id)).size).toBe(1);
});

test("a key is forgotten after a day", async () => {
  let nowMs = Date.UTC(2026, 0, 1);
  await using bench = await aSimulator({ clock: () => nowMs });
  const { stripe } = bench;
  const [params, options] = [anIntent(), key()];
  const first = await stripe.paymentIntents.create(params, options);
  nowMs += 24 * 3600 * 1000 - 1;
  expect((await stripe.paymentIntents.create(params, options)).id).toBe(first.id);
  nowMs += 1;
  expect((await stripe.paymentIntents.create(params, options)).id).not.toBe(first.id);
});

test("what the library sends without a key of ours has one of its own", async () => {
  await using bench = await aSimulator();
  await paid(bench);
  const { data } = await bench.stripe.events.list({ type: "payment_intent.succeeded" });
  expect(data[0]?.request?.idempotency_key).toStartWith("stripe-node-retry-");
});
