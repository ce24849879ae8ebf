import { describe, expect, test } from "bun:test";
import type { NewRule, Rule, When } from "./control-contract";
import { faultRules } from "./faults";
import { anIntent, aSimulator, type Bench, failureOf, libraryAt, paid } from "./testing";

const confirm = "payment_intents.confirm" as const;
const key = () => ({ idempotencyKey: crypto.randomUUID() });

/** An open intent and how to confirm it, always with the same key. */
async function attempt({ stripe }: Bench) {
  const { id } = await stripe.paymentIntents.create(anIntent());
  const options = key();
  const run = (library = stripe) => library.paymentIntents.confirm(id, { payment_method: "tok_ok" }, options);
  const status = async () => (await stripe.paymentIntents.retrieve(id)).status;
  return { id, run, status };
}

const only = async ({ control }: Bench): Promise<Rule> => (await control.rules())[0]!;
const captured = async ({ control }: Bench): Promise<number> =>
  (await control.ledger()).sums.reduce((sum, order) => sum + order.captured, 0);

test.each<When>(["before", "during", "after"])("a delay %s makes the answer late", async (when) => {
  await using bench = await aSimulator();
  const { run } = await attempt(bench);
  await bench.control.addRule({ operation: confirm, effect: { kind: "delay", when, ms: [150, 200] } });
  const startedMs = performance.now();
  expect((await run()).status).toBe("succeeded");
  expect(performance.now() - startedMs).toBeGreaterThan(145);
  expect(await only(bench)).toMatchObject({ matched: 1, fired: 1 });
  expect(await captured(bench)).toBe(1000);
});

describe("a dropped connection", () => {
  test.each<[When, string]>([
    ["before", "requires_payment_method"],
    ["during", "requires_payment_method"],
    ["after", "succeeded"],
  ])("%s leaves the intent %s", async (when, left) => {
    await using bench = await aSimulator();
    const { run, status } = await attempt(bench);
    await bench.control.addRule({ operation: confirm, times: 2, effect: { kind: "drop", when } });
    const error = await failureOf(run());
    expect(error).toMatchObject({ type: "StripeConnectionError", statusCode: undefined });
    expect(await status()).toBe(left as "succeeded");
    expect((await run()).status).toBe("succeeded");
    expect(await captured(bench)).toBe(1000);
  });

  test("is repeated once by the library itself", async () => {
    await using bench = await aSimulator();
    const { run } = await attempt(bench);
    await bench.control.addRule({ operation: confirm, times: 1, effect: { kind: "drop", when: "after" } });
    expect((await run()).status).toBe("succeeded");
    expect((await bench.control.requests())[confirm]).toMatchObject({
      received: 2,
      executed: 1,
      replayed: 1,
    });
    expect(await captured(bench)).toBe(1000);
  });
});

test("a reset breaks off in the middle of the answer, after the money moved", async () => {
  await using bench = await aSimulator();
  const { run, status } = await attempt(bench);
  await bench.control.addRule({ operation: confirm, times: 1, effect: { kind: "reset" } });
  const error = await failureOf(run());
  expect(error.type).toBe("StripeConnectionError");
  // the headers came, so the library knows the request and does not repeat it
  expect(error.requestId).toStartWith("req_");
  expect((await bench.control.requests())[confirm]).toMatchObject({ received: 1, executed: 1 });
  expect(await status()).toBe("succeeded");
  expect((await run()).status).toBe("succeeded");
});

describe("an ordered answer", () => {
  const answer = (when: When, status: number, remembered?: boolean): NewRule => ({
    operation: confirm,
    times: 1,
    effect: { kind: "answer", when, status, remembered },
  });

  test("500 before: nothing happened, a repetition passes", async () => {
    await using bench = await aSimulator();
    const { run, status } = await attempt(bench);
    await bench.control.addRule(answer("before", 500));
    expect(await failureOf(run())).toMatchObject({ type: "StripeAPIError", statusCode: 500 });
    expect(await status()).toBe("requires_payment_method");
    expect((await run()).status).toBe("succeeded");
  });

  test("500 during: nothing happened, and the key says so for ever", async () => {
    await using bench = await aSimulator();
    const { run, status } = await attempt(bench);
    await bench.control.addRule(answer("during", 500));
    await failureOf(run());
    const again = await failureOf(run());
    expect(again).toMatchObject({ statusCode: 500 });
    expect(again.headers?.["idempotent-replayed"]).toBe("true");
    expect(await status()).toBe("requires_payment_method");
  });

  test("500 after: the money moved, and the key fails for ever", async () => {
    await using bench = await aSimulator();
    const { run, status } = await attempt(bench);
    await bench.control.addRule(answer("after", 500));
    await failureOf(run());
    expect((await failureOf(run())).headers?.["idempotent-replayed"]).toBe("true");
    expect(await status()).toBe("succeeded");
    expect(await captured(bench)).toBe(1000);
  });

  test("503 after that is not remembered: the key tells the truth next time", async () => {
    await using bench = await aSimulator();
    const { run } = await attempt(bench);
    await bench.control.addRule(answer("after", 503, false));
    expect(await failureOf(run())).toMatchObject({ statusCode: 503 });
    expect((await run()).status).toBe("succeeded");
    expect(await captured(bench)).toBe(1000);
  });

  test.each<When>(["before", "after"])("429 %s is never remembered", async (when) => {
    await using bench = await aSimulator();
    const { run } = await attempt(bench);
    await bench.control.addRule(answer(when, 429));
    expect(await failureOf(run())).toMatchObject({ type: "StripeRateLimitError", code: "rate_limit" });
    expect((await run()).status).toBe("succeeded");
    expect(await captured(bench)).toBe(1000);
  });
});

describe("a held request", () => {
  test("goes on when it is released, and tells what it is about", async () => {
    await using bench = await aSimulator();
    const { control } = bench;
    const { id, run, status } = await attempt(bench);
    await control.addRule({ operation: confirm, times: 1, effect: { kind: "hold", when: "before" } });
    const running = run();
    const [held] = await control.held({ count: 1 });
    expect(held).toMatchObject({ operation: confirm, when: "before", paymentIntent: id, rule: "rule_1" });
    expect(held?.metadata.order_id).toStartWith("ord_");
    expect(await status()).toBe("requires_payment_method");
    expect(await control.release({ id: held!.id })).toEqual({ released: 1 });
    expect((await running).status).toBe("succeeded");
    expect(await control.held()).toEqual([]);
  });

  test("after is executed while its answer waits, and can be dropped", async () => {
    await using bench = await aSimulator();
    const { control } = bench;
    const { run, status } = await attempt(bench);
    await control.addRule({ operation: confirm, times: 2, effect: { kind: "hold", when: "after" } });
    const running = failureOf(run());
    await control.held({ count: 1 });
    expect(await status()).toBe("succeeded");
    await control.release({ all: true, action: "drop" });
    await control.held({ count: 1 });
    await control.release({ all: true, action: "drop" });
    expect((await running).type).toBe("StripeConnectionError");
    expect(await captured(bench)).toBe(1000);
  });

  test("executes late, overtaken by its own repetition and by a cancel", async () => {
    await using bench = await aSimulator();
    const { control, stripe } = bench;
    const [repeated, canceled] = [await attempt(bench), await attempt(bench)];
    await control.addRule({ operation: confirm, times: 2, effect: { kind: "hold", when: "before" } });
    const user = new AbortController();
    const impatient = libraryAt(bench.url, { left: user.signal });
    const given = Promise.all([failureOf(repeated.run(impatient)), failureOf(canceled.run(impatient))]);
    await control.held({ count: 2 });
    user.abort();
    await given;
    expect((await repeated.run()).status).toBe("succeeded");
    await stripe.paymentIntents.cancel(canceled.id);
    await control.release({ all: true });
    const counted = async () => (await control.requests())[confirm]!;
    for (let c = await counted(); c.executed + c.replayed < 3; c = await counted()) await Bun.sleep(10);
    expect(await canceled.status()).toBe("canceled");
    expect(await captured(bench)).toBe(1000);
  });

  test("that does not come in time is said so", async () => {
    await using bench = await aSimulator();
    const waiting = bench.control.held({ count: 1, timeoutMs: 20 });
    expect(waiting).rejects.toThrow("408");
    await waiting.catch(() => {});
  });
});

describe("a rule", () => {
  const subject = { operation: confirm, metadata: { order_id: "ord_1" }, token: "tok_ok", key: "k" };
  const effect = { kind: "drop", when: "before" } as const;
  /** Which of so many requests a rule strikes. */
  const struck = (rule: Partial<NewRule>, count: number, seed = "7", keys = (n: number) => `key_${n}`) => {
    const faults = faultRules(seed);
    faults.add({ effect, ...rule });
    return Array.from({ length: count }, (_, n) => n).filter(
      (n) => [...faults.striking({ ...subject, key: keys(n) }, "before")].length > 0,
    );
  };

  test("strikes what it was made for and nothing else", () => {
    expect(struck({ operation: "payment_intents.*" }, 1)).toEqual([0]);
    expect(struck({ operation: ["refunds.create", confirm] }, 1)).toEqual([0]);
    expect(struck({ operation: "refunds.*" }, 1)).toEqual([]);
    expect(struck({ metadata: { order_id: "ord_1" } }, 1)).toEqual([0]);
    expect(struck({ metadata: { order_id: "ord_2" } }, 1)).toEqual([]);
    expect(struck({ token: "tok_visa" }, 1)).toEqual([]);
    expect(struck({ effect: { kind: "drop", when: "after" } }, 1)).toEqual([]);
  });

  test("strikes as often as it may", () => {
    expect(struck({ skip: 2, times: 3 }, 10)).toEqual([2, 3, 4]);
    expect(struck({ oncePerKey: true }, 6, "7", (n) => `key_${n % 2}`)).toEqual([0, 1]);
  });

  test("strikes by chance, the same for the same seed", () => {
    const first = struck({ probability: 0.3 }, 1000);
    expect(first.length).toBeGreaterThan(220);
    expect(first.length).toBeLessThan(380);
    expect(struck({ probability: 0.3 }, 1000)).toEqual(first);
    expect(struck({ probability: 0.3 }, 1000, "8")).not.toEqual(first);
  });

  test("finds the order of refunds, captures and lists by their intent", async () => {
    await using bench = await aSimulator();
    const { stripe, control } = bench;
    const [mine, other] = [await paid(bench), await paid(bench)];
    await control.addRule({
      metadata: { order_id: mine.metadata.order_id! },
      effect: { kind: "answer", when: "before", status: 500 },
    });
    await failureOf(stripe.refunds.create({ payment_intent: mine.id }));
    await failureOf(stripe.refunds.list({ payment_intent: mine.id }));
    await failureOf(stripe.paymentIntents.capture(mine.id));
    await stripe.refunds.create({ payment_intent: other.id });
    expect(await only(bench)).toMatchObject({ matched: 3, fired: 3 });
    await control.clearRules();
    await stripe.refunds.create({ payment_intent: mine.id });
  });

  test("goes on with the next: two delays, then the end", async () => {
    await using bench = await aSimulator();
    const { control } = bench;
    const { run } = await attempt(bench);
    await control.addRule({ operation: confirm, effect: { kind: "delay", when: "before", ms: 10 } });
    await control.addRule({ operation: confirm, effect: { kind: "answer", when: "before", status: 503 } });
    await control.addRule({ operation: confirm, effect: { kind: "answer", when: "before", status: 500 } });
    expect(await failureOf(run())).toMatchObject({ statusCode: 503 });
    expect((await control.rules()).map(({ fired }) => fired)).toEqual([1, 1, 0, 0, 0]);
    await control.clearRules("rule_2");
    expect(await failureOf(run())).toMatchObject({ statusCode: 500 });
  });

  test("that makes no sense is refused", async () => {
    await using bench = await aSimulator();
    const add = (rule: unknown) => bench.control.addRule(rule as NewRule).then(() => "added", String);
    expect(await add({ effect: { kind: "explode", when: "before" } })).toContain("400");
    expect(await add({ operation: "payments.create", effect })).toContain("400");
    expect(await add({ opration: confirm, effect })).toContain("400");
    expect(await add({ effect: { kind: "delay", when: "before", ms: [5, 1] } })).toContain("400");
    expect(await add({ effect: { kind: "answer", when: "before", status: 200 } })).toContain("400");
  });
});

describe("the mall's tokens", () => {
  test("tok_lost takes the money and loses the first answer", async () => {
    await using bench = await aSimulator();
    const { stripe, control } = bench;
    const [params, options] = [{ ...anIntent(), confirm: true, payment_method: "tok_lost" }, key()];
    expect((await failureOf(stripe.paymentIntents.create(params, options))).type).toBe(
      "StripeConnectionError",
    );
    expect(await captured(bench)).toBe(1000);
    expect((await stripe.paymentIntents.create(params, options)).status).toBe("succeeded");
    expect((await control.rules()).find(({ id }) => id === "tok_lost")?.fired).toBe(1);
  });

  test("tok_error fails once before anything happens", async () => {
    await using bench = await aSimulator();
    const { stripe } = bench;
    const [params, options] = [{ ...anIntent(), confirm: true, payment_method: "tok_error" }, key()];
    expect((await failureOf(stripe.paymentIntents.create(params, options))).statusCode).toBe(500);
    expect((await stripe.paymentIntents.list()).data).toEqual([]);
    expect((await stripe.paymentIntents.create(params, options)).status).toBe("succeeded");
  });
});

test("a reset forgets everything but goes on with new ids, and lets go what is held", async () => {
  await using bench = await aSimulator();
  const { stripe, control } = bench;
  const { id } = await paid(bench);
  await control.addRule({ operation: "refunds.create", effect: { kind: "hold", when: "before" } });
  const held = failureOf(stripe.refunds.create({ payment_intent: id }));
  await control.held({ count: 1 });
  await control.release({ all: true, action: "drop" });
  await control.held({ count: 1 });
  await control.reset();
  expect((await held).type).toBe("StripeConnectionError");
  expect(await control.ledger()).toEqual({ entries: [], sums: [] });
  expect((await stripe.paymentIntents.list()).data).toEqual([]);
  expect((await control.rules()).map((rule) => rule.id)).toEqual(["tok_lost", "tok_error"]);
  expect((await paid(bench)).id).not.toBe(id);
});
