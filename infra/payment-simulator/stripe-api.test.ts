import { describe, expect, test } from "bun:test";
import { anIntent, aSimulator, failureOf, paid } from "./testing";

describe("an intent", () => {
  test("goes from card to card until one pays", async () => {
    await using bench = await aSimulator();
    const { stripe } = bench;
    const made = await stripe.paymentIntents.create(anIntent());
    expect(made).toMatchObject({ status: "requires_payment_method", amount: 1000, amount_received: 0 });

    const declined = await failureOf(
      stripe.paymentIntents.confirm(made.id, { payment_method: "tok_insufficient_funds" }),
    );
    expect(declined).toMatchObject({
      type: "StripeCardError",
      statusCode: 402,
      code: "card_declined",
      decline_code: "insufficient_funds",
      payment_intent: { id: made.id, status: "requires_payment_method" },
    });
    expect(await stripe.paymentIntents.retrieve(made.id)).toMatchObject({
      last_payment_error: { code: "card_declined", decline_code: "insufficient_funds" },
      payment_method: null,
    });

    const done = await stripe.paymentIntents.confirm(made.id, { payment_method: "pm_card_visa" });
    expect(done).toMatchObject({ status: "succeeded", amount_received: 1000, last_payment_error: null });
    expect(await stripe.paymentIntents.retrieve(made.id)).toEqual(done);
  });

  test("is confirmed with the one-time token of a card", async () => {
    await using bench = await aSimulator();
    const { id } = await bench.stripe.paymentIntents.create(anIntent());
    const data = { type: "card", card: { token: "tok_visa" } } as const;
    const done = await bench.stripe.paymentIntents.confirm(id, { payment_method_data: data });
    expect(done.status).toBe("succeeded");
  });

  test("keeps its card until it is confirmed", async () => {
    await using bench = await aSimulator();
    const made = await bench.stripe.paymentIntents.create({ ...anIntent(), payment_method: "tok_ok" });
    expect(made.status).toBe("requires_confirmation");
    expect((await bench.stripe.paymentIntents.confirm(made.id)).status).toBe("succeeded");
  });

  test("that is declined when made is there all the same", async () => {
    await using bench = await aSimulator();
    const error = await failureOf(paid(bench, { payment_method: "tok_declined" }));
    expect(error).toMatchObject({ statusCode: 402, decline_code: "generic_decline" });
    const { data } = await bench.stripe.paymentIntents.list();
    expect(data).toMatchObject([{ id: error.payment_intent?.id, status: "requires_payment_method" }]);
  });

  test("promises money that is taken later, in full or in part", async () => {
    await using bench = await aSimulator();
    const { stripe, control } = bench;
    const whole = await paid(bench, { capture_method: "manual" });
    expect(whole).toMatchObject({ status: "requires_capture", amount_capturable: 1000, amount_received: 0 });
    expect(await stripe.paymentIntents.capture(whole.id)).toMatchObject({
      status: "succeeded",
      amount_capturable: 0,
      amount_received: 1000,
    });

    expect((await failureOf(stripe.paymentIntents.capture(whole.id))).message).toContain(
      "already been captured",
    );

    const part = await paid(bench, { capture_method: "manual" });
    const tooMuch = await failureOf(stripe.paymentIntents.capture(part.id, { amount_to_capture: 1001 }));
    expect(tooMuch).toMatchObject({ statusCode: 400, code: "amount_too_large", param: "amount_to_capture" });
    const captured = await stripe.paymentIntents.capture(part.id, { amount_to_capture: 300 });
    expect(captured).toMatchObject({ status: "succeeded", amount_received: 300 });
    const { entries, sums } = await control.ledger({ paymentIntent: part.id });
    expect(entries.map(({ kind, amount }) => [kind, amount])).toEqual([
      ["authorize", 1000],
      ["capture", 300],
      ["cancel", 700],
    ]);
    expect(sums).toMatchObject([{ authorized: 1000, captured: 300, canceled: 700, held: 0, net: 300 }]);
    const refund = await stripe.refunds.create({ payment_intent: part.id });
    expect(refund.amount).toBe(300);
  });

  test("is canceled as long as no money was taken", async () => {
    await using bench = await aSimulator();
    const { stripe, control } = bench;
    const open = await stripe.paymentIntents.create(anIntent());
    const promised = await paid(bench, { capture_method: "manual" });
    for (const { id } of [open, promised]) {
      const canceled = await stripe.paymentIntents.cancel(id, { cancellation_reason: "abandoned" });
      expect(canceled).toMatchObject({
        status: "canceled",
        cancellation_reason: "abandoned",
        amount_capturable: 0,
      });
    }
    const { sums } = await control.ledger({ paymentIntent: promised.id });
    expect(sums).toMatchObject([{ authorized: 1000, canceled: 1000, held: 0, captured: 0 }]);
    const done = await paid(bench);
    expect((await failureOf(stripe.paymentIntents.cancel(done.id))).message).toContain(
      "a status of succeeded",
    );
  });

  test("waits for the bank or for the customer until it is settled", async () => {
    await using bench = await aSimulator();
    const { stripe, control } = bench;
    const slow = await paid(bench, { payment_method: "tok_processing" });
    expect(slow.status).toBe("processing");
    expect((await control.ledger()).entries).toEqual([]);
    await control.settle(slow.id, "succeeded");
    expect(await stripe.paymentIntents.retrieve(slow.id)).toMatchObject({
      status: "succeeded",
      amount_received: 1000,
    });

    const refused = await paid(bench, { payment_method: "tok_processing" });
    await control.settle(refused.id, "failed");
    expect((await stripe.paymentIntents.retrieve(refused.id)).status).toBe("requires_payment_method");

    const asking = await paid(bench, { payment_method: "pm_card_authenticationRequired" });
    expect(asking.status).toBe("requires_action");
    const error = await failureOf(
      paid(bench, { payment_method: "pm_card_authenticationRequired", error_on_requires_action: true }),
    );
    expect(error).toMatchObject({ statusCode: 402, code: "authentication_required" });
  });

  test("refuses every move that its state does not allow", async () => {
    await using bench = await aSimulator();
    const { paymentIntents } = bench.stripe;
    const states = {
      requires_payment_method: () => paymentIntents.create(anIntent()),
      requires_capture: () => paid(bench, { capture_method: "manual" }),
      processing: () => paid(bench, { payment_method: "tok_processing" }),
      succeeded: () => paid(bench),
      canceled: async () => paymentIntents.cancel((await paymentIntents.create(anIntent())).id),
    };
    const moves = {
      confirm: (id: string) => paymentIntents.confirm(id, { payment_method: "tok_ok" }),
      capture: (id: string) => paymentIntents.capture(id),
      cancel: (id: string) => paymentIntents.cancel(id),
    };
    const allowed: [keyof typeof states, keyof typeof moves][] = [
      ["requires_payment_method", "confirm"],
      ["requires_payment_method", "cancel"],
      ["requires_capture", "capture"],
      ["requires_capture", "cancel"],
    ];
    for (const [state, make] of Object.entries(states)) {
      for (const [move, run] of Object.entries(moves)) {
        const { id, status } = await make();
        expect(status).toBe(state as typeof status);
        if (allowed.some(([from, by]) => from === state && by === move)) {
          await run(id);
          continue;
        }
        expect(await failureOf(run(id))).toMatchObject({
          type: "StripeInvalidRequestError",
          statusCode: 400,
          code: "payment_intent_unexpected_state",
          payment_intent: { id, status: state },
        });
        expect((await paymentIntents.retrieve(id)).status).toBe(state as typeof status);
      }
    }
  });
});

describe("a refund", () => {
  test("gives back in parts, never more than was taken", async () => {
    await using bench = await aSimulator();
    const { refunds, paymentIntents } = bench.stripe;
    const { id } = await paid(bench);
    const first = await refunds.create({ payment_intent: id, amount: 400, metadata: { refund_id: "ref_1" } });
    expect(first).toMatchObject({ status: "succeeded", amount: 400, payment_intent: id });
    expect(await refunds.retrieve(first.id)).toEqual(first);
    const tooMuch = await failureOf(refunds.create({ payment_intent: id, amount: 601 }));
    expect(tooMuch).toMatchObject({ statusCode: 400, param: "amount" });
    expect(tooMuch.message).toContain("greater than unrefunded amount");
    const rest = await refunds.create({ payment_intent: id });
    expect(rest.amount).toBe(600);
    expect(await failureOf(refunds.create({ payment_intent: id, amount: 1 }))).toMatchObject({
      statusCode: 400,
      code: "charge_already_refunded",
    });
    expect((await refunds.list({ payment_intent: id })).data.map((refund) => refund.id)).toEqual([
      rest.id,
      first.id,
    ]);
    const { latest_charge } = await paymentIntents.retrieve(id, { expand: ["latest_charge"] });
    expect(latest_charge).toMatchObject({ amount_refunded: 1000, refunded: true });
  });

  test("needs money that was taken", async () => {
    await using bench = await aSimulator();
    const { refunds } = bench.stripe;
    const { id } = await paid(bench, { capture_method: "manual" });
    expect((await failureOf(refunds.create({ payment_intent: id }))).message).toContain("successful charge");
    expect(await failureOf(refunds.create({ payment_intent: "pi_none" }))).toMatchObject({
      statusCode: 400,
      code: "resource_missing",
    });
  });

  test("can stay pending and fail in the end, which gives the money back to us", async () => {
    await using bench = await aSimulator();
    const { control, stripe } = bench;
    const { id } = await paid(bench, { payment_method: "tok_pending_refund" });
    const [kept, failing] = [
      await stripe.refunds.create({ payment_intent: id, amount: 300 }),
      await stripe.refunds.create({ payment_intent: id, amount: 700 }),
    ];
    expect([kept.status, failing.status]).toEqual(["pending", "pending"]);
    await control.settle(kept.id, "succeeded");
    await control.settle(failing.id, "failed");
    expect((await stripe.refunds.retrieve(failing.id)).status).toBe("failed");
    expect((await control.ledger()).sums).toMatchObject([{ captured: 1000, refunded: 300, net: 700 }]);
    expect((await stripe.refunds.create({ payment_intent: id })).amount).toBe(700);
  });
});

describe("reading", () => {
  test("pages through lists with the library's own iterator", async () => {
    await using bench = await aSimulator();
    const { id } = await paid(bench);
    for (let amount = 1; amount <= 25; amount++)
      await bench.stripe.refunds.create({ payment_intent: id, amount });
    const all = await bench.stripe.refunds
      .list({ payment_intent: id, limit: 4 })
      .autoPagingToArray({ limit: 100 });
    expect(all.map(({ amount }) => amount)).toEqual(Array.from({ length: 25 }, (_, i) => 25 - i));
    const before = await bench.stripe.refunds.list({ ending_before: all[9]!.id, limit: 4 });
    expect(before).toMatchObject({ has_more: true, data: all.slice(5, 9).map(({ id }) => ({ id })) });
  });

  test("finds intents by what the shop wrote on them", async () => {
    await using bench = await aSimulator();
    const [one] = await Promise.all([paid(bench), paid(bench)]);
    const query = `metadata["order_id"]:"${one.metadata.order_id}" AND status:"succeeded"`;
    const { data } = await bench.stripe.paymentIntents.search({ query });
    expect(data.map(({ id }) => id)).toEqual([one.id]);
    expect(await failureOf(bench.stripe.paymentIntents.search({ query: "drop table" }))).toMatchObject({
      statusCode: 400,
      param: "query",
    });
  });

  test("puts objects in the place of ids", async () => {
    await using bench = await aSimulator();
    const { id } = await paid(bench);
    const expand = ["payment_intent.latest_charge", "charge"];
    const refund = await bench.stripe.refunds.create({ payment_intent: id, expand });
    expect(refund).toMatchObject({
      charge: { object: "charge", amount_refunded: 1000 },
      payment_intent: { id, latest_charge: { object: "charge" } },
    });
    const list = await bench.stripe.refunds.list({ expand: ["data.charge"] });
    expect(list.data).toMatchObject([{ charge: { object: "charge" } }]);
    const error = await failureOf(bench.stripe.paymentIntents.retrieve(id, { expand: ["currency"] }));
    expect(error.message).toContain("cannot be expanded");
  });

  test("tells what happened as events", async () => {
    await using bench = await aSimulator();
    const { id } = await paid(bench);
    await bench.stripe.refunds.create({ payment_intent: id });
    const { data } = await bench.stripe.events.list({ limit: 100 });
    expect(data.map(({ type }) => type).reverse()).toEqual([
      "payment_intent.created",
      "charge.succeeded",
      "payment_intent.succeeded",
      "charge.refunded",
      "refund.created",
    ]);
    const [succeeded] = (await bench.stripe.events.list({ type: "payment_intent.succeeded" })).data;
    expect(succeeded?.data.object).toMatchObject({ id, status: "succeeded" });
    const read: unknown = await bench.stripe.events.retrieve(succeeded!.id);
    expect(read).toEqual(succeeded);
  });
});

describe("a request", () => {
  test("with parameters that make no sense is refused as Stripe does", async () => {
    await using bench = await aSimulator();
    const { paymentIntents } = bench.stripe;
    const create = (changes: Record<string, unknown>) => failureOf(paymentIntents.create(anIntent(changes)));
    expect(await create({ amount: -1 })).toMatchObject({
      code: "parameter_invalid_integer",
      param: "amount",
    });
    expect(await create({ amount: 49 })).toMatchObject({ code: "amount_too_small", param: "amount" });
    expect(await create({ amount: 1e9 })).toMatchObject({ code: "amount_too_large", param: "amount" });
    expect(await create({ amount: undefined })).toMatchObject({ code: "parameter_missing", param: "amount" });
    expect(await create({ currency: "xyz" })).toMatchObject({ param: "currency" });
    expect(await create({ colour: "red" })).toMatchObject({ code: "parameter_unknown", param: "colour" });
    expect(await create({ capture_method: "never" })).toMatchObject({ param: "capture_method" });
    expect(await failureOf(paid(bench, { payment_method: "tok_none" }))).toMatchObject({
      statusCode: 400,
      code: "resource_missing",
      param: "payment_method",
    });
    expect(await failureOf(paid(bench, { automatic_payment_methods: undefined }))).toMatchObject({
      statusCode: 400,
      param: "return_url",
    });
    expect(await failureOf(paymentIntents.retrieve("pi_none"))).toMatchObject({
      statusCode: 404,
      code: "resource_missing",
    });
    expect((await paymentIntents.list()).data).toEqual([]);
  });

  test("needs a secret key for tests, and never hears it again", async () => {
    await using bench = await aSimulator();
    for (const authorization of [undefined, "Bearer sk_live_secret", "Basic c2tfdGVzdA=="]) {
      const headers = authorization === undefined ? undefined : { authorization };
      const response = await fetch(`${bench.url}/v1/payment_intents`, { headers });
      expect(response.status).toBe(401);
      expect(await response.text()).not.toContain("secret");
    }
  });

  test("to what is not simulated is 404", async () => {
    await using bench = await aSimulator();
    expect((await failureOf(bench.stripe.customers.create({}))).statusCode).toBe(404);
  });
});
