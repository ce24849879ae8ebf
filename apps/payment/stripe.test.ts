import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { PaymentService, PaymentState, RefundState } from "@mall/gen/mall/payment/v1/payment_pb";
import { type Id, idGenerator, uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { providerContract } from "./providers/contract";
import { type StripeOptions, stripeProvider } from "./providers/stripe";
import { createPaymentService } from "./service";

const webhookSecret = "whsec_test";

/** The payment simulator as a process of its own, as an outside provider would be. */
async function startSimulator() {
  const main = new URL("../../infra/payment-simulator/main.ts", import.meta.url).pathname;
  const child = Bun.spawn([process.execPath, main], {
    env: { ...process.env, PORT: "0", SIMULATOR_SEED: "7" },
    stdout: "pipe",
    stderr: "inherit",
  });
  let said = "";
  for await (const chunk of child.stdout) {
    said += new TextDecoder().decode(chunk);
    const url = /http:\/\/[\w.:]+/.exec(said)?.[0];
    if (url) return { url, stop: () => child.kill() };
  }
  throw new Error(`the payment simulator did not start: ${said}`);
}

let simulator: Awaited<ReturnType<typeof startSimulator>>;
let mall: Harness;
let listener: ReturnType<typeof Bun.serve>;

beforeAll(async () => {
  simulator = await startSimulator();
  const env = {
    ...{ PAYMENT_PROVIDER: "stripe", STRIPE_API_BASE: simulator.url },
    ...{ STRIPE_SECRET_KEY: "sk_test_x", STRIPE_WEBHOOK_SECRET: webhookSecret },
  };
  mall = await harness("payment", createPaymentService, { env });
  listener = Bun.serve({ port: 0, development: false, fetch: (request) => mall.app.fetch(request) });
});
afterAll(async () => {
  await listener?.stop(true);
  await mall?.stop();
  simulator?.stop();
});
beforeEach(() => {
  // the simulator signs with the real time
  mall.clock.advance((Date.now() - mall.clock().getTime()) / 1000);
});
afterEach(async () => {
  await control("DELETE", "rules");
  await control("POST", "release", { all: true });
  await control("POST", "webhooks", { endpoints: [], timing: "after", copies: 1 });
});

async function control<T = unknown>(method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(`${simulator.url}/control/${path}`, {
    method,
    headers: { "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return (await response.json().catch(() => undefined)) as T;
}

interface Rule {
  operation: string;
  metadata?: Record<string, string>;
  times?: number;
  effect: object;
}
const addRule = (rule: Rule) => control("POST", "rules", rule);

interface Sums {
  captured: number;
  refunded: number;
  held: number;
  captures: number;
}
/** The simulator's books about an order. */
async function theirs(orderId: string): Promise<Sums> {
  const { sums } = await control<{ sums: Sums[] }>("GET", `ledger?order_id=${orderId}&entries=none`);
  const { captured, refunded, held, captures } = sums[0] ?? {
    captured: 0,
    refunded: 0,
    held: 0,
    captures: 0,
  };
  return { captured, refunded, held, captures };
}

/** The simulator's names of the payment of an order and of its refund. */
async function theirNames({ orderId }: Asked): Promise<{ paymentIntent?: string; refund?: string }> {
  const path = `ledger?order_id=${orderId}`;
  const { entries } = await control<{ entries: { paymentIntent: string; refund?: string }[] }>("GET", path);
  return {
    paymentIntent: entries[0]?.paymentIntent,
    refund: entries.find(({ refund }) => refund)?.refund,
  };
}

async function ours(
  paymentId: string,
): Promise<{ state: string; captured: number; returned: number; due: boolean }> {
  const [row] = await mall.db.sql.unsafe(
    `select state, captured::int, returned::int, due_at is not null
      or exists (select 1 from payment.refunds r where r.payment_id = p.id and r.state = 'PENDING') as due
      from payment.payments p where id = $1`,
    [uuidOf(paymentId)],
  );
  return { ...row } as never;
}

const checkout = () => mall.client(PaymentService, { service: "checkout" });
const clerk = () =>
  mall.client(PaymentService, {
    user: { id: "usr_00000000000000000000000001", roles: ["staff"] },
    idempotencyKey: crypto.randomUUID(),
  });

const attempt = (over: { token?: string; capture?: boolean; orderId?: string } = {}) => ({
  paymentId: mall.newId("pay"),
  orderId: over.orderId ?? mall.newId("ord"),
  userId: "",
  amount: { currency: "USD", minor: 4299n },
  method: "stripe",
  token: over.token ?? "tok_ok",
  capture: over.capture ?? true,
});
type Asked = ReturnType<typeof attempt>;

async function sweepAfter(seconds: number): Promise<void> {
  mall.clock.advance(seconds);
  await mall.app.sweep();
}

/** Money is where our books say it is, exactly once or not at all, and nothing is left to do. */
async function expectAgreement({ paymentId, orderId }: Asked, isMoney?: boolean): Promise<void> {
  const [row, sums] = [await ours(paymentId), await theirs(orderId)];
  const isTaken = row.state === "CAPTURED" || row.state === "REFUNDED";
  expect(["CAPTURED", "REFUNDED", "VOIDED", "DECLINED"]).toContain(row.state);
  expect(sums).toEqual({
    ...{ captured: row.captured, refunded: row.returned, held: 0, captures: isTaken ? 1 : 0 },
  });
  expect(row.captured).toBe(isTaken ? 4299 : 0);
  expect(row.due).toBe(false);
  if (isMoney !== undefined) expect(isTaken && row.returned === 0).toBe(isMoney);
}

/** Everything that can happen to one request, and how often it must to be noticed through the library's repetition. */
const faults: { name: string; effect: Record<string, unknown>; times: number }[] = [
  { name: "delayed beyond the time before it arrives", effect: { kind: "hold", when: "before" }, times: 1 },
  {
    name: "delayed beyond the time while it is worked on",
    effect: { kind: "hold", when: "during" },
    times: 1,
  },
  { name: "answered too late", effect: { kind: "hold", when: "after" }, times: 1 },
  { name: "cut before it arrives", effect: { kind: "drop", when: "before" }, times: 2 },
  { name: "cut after it is done", effect: { kind: "drop", when: "after" }, times: 2 },
  { name: "cut in the middle of the answer", effect: { kind: "reset" }, times: 1 },
  { name: "answered 500 before", effect: { kind: "answer", when: "before", status: 500 }, times: 1 },
  { name: "answered 500 for ever", effect: { kind: "answer", when: "during", status: 500 }, times: 1 },
  {
    name: "answered 500 for ever although done",
    effect: { kind: "answer", when: "after", status: 500 },
    times: 1,
  },
  {
    name: "answered 503 although done",
    effect: { kind: "answer", when: "after", status: 503, remembered: false },
    times: 1,
  },
  { name: "rate limited", effect: { kind: "answer", when: "before", status: 429 }, times: 1 },
];

/** One payment a fault: arms the fault for its order, runs, and lets the sweeper work while requests are still held. */
async function underFaults(
  operation: string,
  prepare: () => Promise<Asked>,
  run: (asked: Asked) => Promise<unknown>,
): Promise<Map<string, Asked>> {
  const cases = new Map<string, Asked>();
  for (const { name, effect, times } of faults) {
    const asked = await prepare();
    cases.set(name, asked);
    await addRule({ operation, metadata: { order_id: asked.orderId }, times, effect });
  }
  await Promise.all([...cases.values()].map(run));
  const rules = await control<{ id: string; fired: number }[]>("GET", "rules");
  const ours = rules.filter(({ id }) => id.startsWith("rule_"));
  expect(ours.map((rule) => rule.fired > 0)).toEqual(faults.map(() => true));
  for (let n = 0; n < 4; n++) await sweepAfter(10);
  await control("POST", "release", { all: true });
  for (let n = 0; n < 4; n++) await sweepAfter(10);
  return cases;
}

const agreeing = async (cases: Map<string, Asked>, isMoney?: (name: string) => boolean | undefined) => {
  for (const [name, asked] of cases) {
    const problem = await expectAgreement(asked, isMoney?.(name)).then(
      () => "",
      (error: Error) => `${name}: ${Bun.stripANSI(error.message)}`,
    );
    expect(problem).toBe("");
  }
};

providerContract("Stripe's library", () => {
  const clock = () => new Date();
  const options: StripeOptions = { secretKey: "sk_test_x", webhookSecret, apiBase: simulator.url, clock };
  return {
    ...{ provider: stripeProvider(options), newId: idGenerator(clock), clock },
    tokens: {
      ...{ pays: "tok_ok", declines: "tok_insufficient_funds", declineCode: "insufficient_funds" },
      ...{ isNone: "tok_none", losesPayment: "tok_ok", losesRefund: "tok_ok" },
    },
    async losingAnswer(call) {
      for (const operation of ["payment_intents.confirm", "refunds.create"])
        await addRule({ operation, times: 1, effect: { kind: "reset" } });
      return call();
    },
  };
});

describe("an unknown outcome", () => {
  test("of creating a payment ends without money, whatever happened to the request", async () => {
    const cases = await underFaults(
      "payment_intents.create",
      async () => attempt(),
      async (asked) => {
        const { payment } = await checkout().authorizePayment(asked);
        expect(payment?.state).toBe(PaymentState.PROCESSING);
      },
    );
    await agreeing(cases, () => false);
  });

  test("of confirming a payment ends paid once or void, and paid whenever the provider took the money", async () => {
    const cases = await underFaults(
      "payment_intents.confirm",
      async () => attempt(),
      async (asked) => {
        const { payment } = await checkout().authorizePayment(asked);
        expect(payment?.state).toBe(PaymentState.PROCESSING);
      },
    );
    const isTaken = (name: string) => /too late|after it is done|middle|although done/.test(name);
    await agreeing(cases, (name) => (/worked on/.test(name) ? undefined : isTaken(name)));
  });

  test("asked for by the checkout and the sweeper at once ends paid once or void", async () => {
    const cases = await underFaults(
      "payment_intents.confirm",
      async () => attempt(),
      async (asked) => {
        await checkout().authorizePayment(asked);
        await Promise.all([
          checkout().authorizePayment({ ...asked, token: "" }),
          checkout().authorizePayment({ ...asked, token: "" }),
          sweepAfter(1),
        ]);
      },
    );
    await agreeing(cases);
  });

  test("of capturing ends captured once", async () => {
    const prepare = async () => {
      const asked = attempt({ capture: false });
      await checkout().authorizePayment(asked);
      return asked;
    };
    const cases = await underFaults("payment_intents.capture", prepare, (asked) =>
      checkout().capturePayment(asked),
    );
    await agreeing(cases, () => true);
  });

  test("of dropping an authorization ends without money", async () => {
    const prepare = async () => {
      const asked = attempt({ capture: false });
      await checkout().authorizePayment(asked);
      return asked;
    };
    const cases = await underFaults("payment_intents.cancel", prepare, (asked) =>
      checkout().voidPayment(asked),
    );
    await agreeing(cases, () => false);
  });

  test("of a refund ends refunded once, to the cent", async () => {
    const prepare = async () => {
      const asked = attempt();
      await checkout().authorizePayment(asked);
      return asked;
    };
    const cases = await underFaults("refunds.create", prepare, async ({ paymentId }) => {
      const amount = { currency: "USD", minor: 1299n };
      const { refund } = await clerk().createRefund({ paymentId, amount });
      expect(refund?.state).toBe(RefundState.PENDING);
    });
    await agreeing(cases);
    for (const { orderId } of cases.values()) expect((await theirs(orderId)).refunded).toBe(1299);
  });

  test("that is asked for a day later is looked up by search, not sent again", async () => {
    const asked = attempt();
    await addRule({
      ...{ operation: "payment_intents.confirm", metadata: { order_id: asked.orderId } },
      effect: { kind: "reset" },
    });
    await checkout().authorizePayment(asked);
    await mall.db.sql.unsafe(
      "update payment.payments set created_at = created_at - interval '25 hours', provider_ref = '' where id = $1",
      [uuidOf(asked.paymentId)],
    );
    const before = await control<Record<string, { received: number }>>("GET", "requests");
    await sweepAfter(10);
    const after = await control<Record<string, { received: number }>>("GET", "requests");
    expect(after["payment_intents.create"]?.received).toBe(
      before["payment_intents.create"]?.received as number,
    );
    await expectAgreement(asked, true);
  });
});

describe("a webhook", () => {
  const listen = (settings: object) =>
    control("POST", "webhooks", {
      endpoints: [{ url: `${listener.url.origin}/webhooks/payments/stripe`, secret: webhookSecret }],
      ...settings,
    });
  const flush = () => control<{ delivered: number; failed: number }>("POST", "webhooks/flush");

  test("three times before an answer that is lost leaves the payment paid once", async () => {
    await listen({ timing: "before", copies: 3 });
    const asked = attempt();
    await addRule({
      ...{ operation: "payment_intents.confirm", metadata: { order_id: asked.orderId } },
      effect: { kind: "reset" },
    });
    await checkout().authorizePayment(asked);
    await flush();
    await expectAgreement(asked, true);
    const events = await mall.db.sql.unsafe("select type from payment.outbox where subject = $1", [
      asked.paymentId,
    ]);
    expect(events.map((event) => event.type)).toEqual(["mall.payment.v1.PaymentCaptured"]);
  });

  test("before, during and after each answer changes nothing about the outcome", async () => {
    for (const timing of ["before", "after"]) {
      await listen({ timing, copies: 2 });
      const [taken, declined, dropped] = [
        attempt(),
        attempt({ token: "tok_declined" }),
        attempt({ capture: false }),
      ];
      for (const asked of [taken, declined, dropped]) await checkout().authorizePayment(asked);
      await checkout().voidPayment(dropped);
      await clerk().createRefund({ paymentId: taken.paymentId });
      await flush();
      await control("POST", "webhooks/redeliver", { all: true, copies: 2, shuffle: true });
      await sweepAfter(10);
      expect((await ours(taken.paymentId)).state).toBe("REFUNDED");
      expect((await ours(declined.paymentId)).state).toBe("DECLINED");
      expect((await ours(dropped.paymentId)).state).toBe("VOIDED");
      for (const asked of [taken, declined, dropped]) await expectAgreement(asked, false);
    }
  });

  test("alone tells that the provider ended a payment that was processing", async () => {
    await listen({});
    for (const [outcome, state] of [
      ["succeeded", "CAPTURED"],
      ["failed", "DECLINED"],
    ]) {
      const asked = attempt({ token: "tok_processing" });
      expect((await checkout().authorizePayment(asked)).payment?.state).toBe(PaymentState.PROCESSING);
      await sweepAfter(1);
      expect((await ours(asked.paymentId)).state).toBe("PROCESSING");
      const { deliveries } = await control<{ deliveries: { id: string; event: string }[] }>(
        "GET",
        "webhooks",
      );
      const event = deliveries.at(-1)!.event;
      const about = await fetch(`${simulator.url}/v1/events/${event}`, {
        headers: { authorization: "Bearer sk_test_x" },
      });
      const { data } = (await about.json()) as { data: { object: { id: string } } };
      await control("POST", "settle", { id: data.object.id, outcome });
      await flush();
      expect((await ours(asked.paymentId)).state).toBe(state!);
      await expectAgreement(asked);
    }
  });

  test("alone tells that a refund that was pending has ended", async () => {
    await listen({});
    for (const outcome of ["succeeded", "failed"]) {
      const asked = attempt({ token: "tok_refund_fail" });
      await checkout().authorizePayment(asked);
      const { refund } = await clerk().createRefund({ paymentId: asked.paymentId });
      expect(refund?.state).toBe(RefundState.PENDING);
      await control("POST", "settle", { id: (await theirNames(asked)).refund, outcome });
      await flush();
      await expectAgreement(asked, outcome === "failed");
    }
  });

  test("with a wrong, old, missing or foreign signature is refused and has no effect", async () => {
    await listen({ timing: "never" });
    const asked = attempt();
    await addRule({
      ...{ operation: "payment_intents.confirm", metadata: { order_id: asked.orderId } },
      effect: { kind: "reset" },
    });
    await checkout().authorizePayment(asked);
    const { paymentIntent } = await theirNames(asked);
    const redeliver = (over: object) =>
      control<{ delivered: number; failed: number }>("POST", "webhooks/redeliver", {
        paymentIntent,
        ...over,
      });
    for (const over of [{ secret: "whsec_other" }, { signedSecondsAgo: 310 }, { signedSecondsAgo: -400 }]) {
      const { delivered } = await redeliver(over);
      expect([over, delivered]).toEqual([over, 0]);
    }
    const unsigned = new Request("http://payment/webhooks/payments/stripe", { method: "POST", body: "{}" });
    const answer = await mall.app.fetch(unsigned);
    expect([answer.status, ((await answer.json()) as { reason: string }).reason]).toEqual([
      400,
      "VALIDATION",
    ]);
    expect((await ours(asked.paymentId)).state).toBe("PROCESSING");
    expect((await redeliver({})).failed).toBe(0);
    await expectAgreement(asked, true);
  });

  test("of a provider that is not ours or that is too large is refused", async () => {
    const post = (name: string, body: string) =>
      mall.app.fetch(new Request(`http://payment/webhooks/payments/${name}`, { method: "POST", body }));
    expect((await post("fake", "{}")).status).toBe(404);
    expect((await post("stripe", "x".repeat(256 * 1024 + 1))).status).toBe(413);
  });
});

describe("money at Stripe", () => {
  test("is captured exactly once by 100 requests, and 100 refunds never exceed it", async () => {
    const asked = attempt({ capture: false });
    await checkout().authorizePayment(asked);
    await Promise.all(Array.from({ length: 100 }, () => checkout().capturePayment(asked)));
    await sweepAfter(10);
    await expectAgreement(asked, true);
    const { paymentId } = asked;
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, (_, n) =>
        clerk().createRefund({ paymentId, amount: { currency: "USD", minor: BigInt(40 + n) } }),
      ),
    );
    for (let n = 0; n < 3; n++) await sweepAfter(10);
    const made = results.filter((result) => result.status === "fulfilled").length;
    // 30 of the largest come to what there is
    expect(made).toBeGreaterThanOrEqual(30);
    expect(made).toBeLessThan(100);
    await expectAgreement(asked);
  });

  test("of another payment is never taken for ours, whatever a message names", async () => {
    const [other, asked] = [attempt(), attempt({ token: "tok_declined" })];
    for (const one of [other, asked]) await checkout().authorizePayment(one);
    const { paymentIntent } = await theirNames(other);
    const clock = () => new Date();
    const options = { secretKey: "sk_test_x", webhookSecret, apiBase: simulator.url, clock };
    const { amount, capture } = asked;
    const [id, orderId] = [asked.paymentId as Id<"pay">, asked.orderId as Id<"ord">];
    const named = { id, orderId, amount, capture, createdAt: clock(), attempts: 0 };
    const look = stripeProvider(options).lookUp({ ...named, providerRef: paymentIntent! });
    await expect(look).rejects.toThrow("belongs to another payment");
  });

  test("that was refused says why, also for a token that is none", async () => {
    for (const [token, code] of [
      ["tok_insufficient_funds", "insufficient_funds"],
      ["tok_declined", "card_declined"],
      ["tok_none", "resource_missing"],
      ["pm_card_authenticationRequired", "authentication_required"],
    ] as const) {
      const asked = attempt({ token });
      const { payment } = await checkout().authorizePayment(asked);
      expect([token, payment?.state, payment?.declineCode]).toEqual([token, PaymentState.DECLINED, code]);
      await expectAgreement(asked, false);
    }
  });

  test("refunded by the provider's own decision to fail is given back to the payment", async () => {
    const asked = attempt({ token: "tok_refund_fail" });
    await checkout().authorizePayment(asked);
    const { refund } = await clerk().createRefund({ paymentId: asked.paymentId });
    expect(refund?.state).toBe(RefundState.PENDING);
    await control("POST", "settle", { id: (await theirNames(asked)).refund, outcome: "failed" });
    await sweepAfter(1);
    const { payment } = await clerk().getPayment({ paymentId: asked.paymentId });
    expect([payment?.refunds[0]?.state, payment?.refunded?.minor]).toEqual([RefundState.FAILED, 0n]);
    expect(await theirs(asked.orderId)).toMatchObject({ captured: 4299, refunded: 0 });
  });

  test("reconciles after all of it, and a difference is found", async () => {
    const cli = () => mall.client(PaymentService, { service: "mall" });
    const differences = async () => {
      const found = [];
      let pageToken = "";
      do {
        const page = await cli().reconcilePayments({ pageToken });
        found.push(...page.differences);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return found;
    };
    await mall.db.sql.unsafe("delete from payment.payments where state = 'PROCESSING'");
    expect(await differences()).toEqual([]);
    const asked = attempt();
    await checkout().authorizePayment(asked);
    await mall.db.sql.unsafe(
      "update payment.payments set provider_ref = provider_ref, state = 'VOIDED', captured = 0 where id = $1",
      [uuidOf(asked.paymentId as Id<"pay">)],
    );
    expect((await differences()).map((d) => [d.paymentId, d.field, d.ours?.minor, d.theirs?.minor])).toEqual([
      [asked.paymentId, "captured", 0n, 4299n],
    ]);
  });
});
