import { describe, expect, test } from "bun:test";
import Stripe from "stripe";
import type { WebhookSettings } from "./control-contract";
import { anIntent, aSimulator, type Bench, failureOf, paid } from "./testing";
import { signatureOf } from "./webhook-signature";

const secret = "whsec_x";

/** An endpoint that verifies with the real library and remembers what it was told, in the order of arrival. */
async function aReceiver(answers: (n: number) => number = () => 200) {
  const stripe = new Stripe("sk_test_x");
  const heard: { id: string; type: string; object: string; status: string }[] = [];
  const refused: string[] = [];
  let requests = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const status = answers(++requests);
      const body = await request.text();
      const signature = request.headers.get("stripe-signature") ?? "";
      try {
        const event = await stripe.webhooks.constructEventAsync(body, signature, secret);
        const { id: object, status } = event.data.object as { id: string; status: string };
        heard.push({ id: event.id, type: event.type, object, status });
      } catch (error) {
        refused.push(String(error));
        return new Response(null, { status: 400 });
      }
      return new Response(null, { status });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/hook`,
    heard,
    refused,
    types: () => heard.map(({ type }) => type),
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

const events = ["payment_intent.succeeded"];
const connect = (bench: Bench, { url }: { url: string }, changes: Partial<WebhookSettings> = {}) =>
  bench.control.setWebhooks({ endpoints: [{ url, secret, events }], ...changes });

/** Waits until nothing is to be delivered any more, without hurrying it. */
async function settled({ control }: Bench): Promise<void> {
  const isWaiting = async () =>
    (await control.webhooks()).deliveries.some(({ state }) => state === "waiting");
  while (await isWaiting()) await Bun.sleep(5);
}

test("an event is signed as the library wants it and says what happened", async () => {
  await using bench = await aSimulator();
  await using receiver = await aReceiver();
  await connect(bench, receiver);
  const { id } = await paid(bench);
  await settled(bench);
  expect(receiver.heard).toMatchObject([
    { type: "payment_intent.succeeded", object: id, status: "succeeded" },
  ]);
  const [event] = (await bench.stripe.events.list({ type: events[0] })).data;
  expect(receiver.heard[0]?.id).toBe(event!.id);
});

test("the signature is the one that the library itself makes", async () => {
  const payload = '{"id":"evt_1"}';
  const timestamp = 1_700_000_000;
  const { webhooks } = new Stripe("sk_test_x");
  const options = { payload, secret, timestamp } as Stripe.WebhookTestHeaderOptions;
  const theirs = await webhooks.generateTestHeaderStringAsync(options);
  expect(signatureOf(payload, secret, timestamp)).toBe(theirs);
});

test("an endpoint hears of the events that it asked for, without a list of all", async () => {
  await using bench = await aSimulator();
  await using receiver = await aReceiver();
  await connect(bench, receiver, { endpoints: [{ url: receiver.url, secret }] });
  await failureOf(paid(bench, { payment_method: "tok_declined" }));
  await settled(bench);
  expect(receiver.types().sort()).toEqual([
    "charge.failed",
    "payment_intent.created",
    "payment_intent.payment_failed",
  ]);
});

describe("timing", () => {
  test("before: the event is there when the answer comes, three times if wanted", async () => {
    await using bench = await aSimulator();
    await using receiver = await aReceiver();
    await connect(bench, receiver, { timing: "before", copies: 3 });
    const { id } = await paid(bench);
    expect(receiver.heard.map(({ object }) => object)).toEqual([id, id, id]);
    expect(new Set(receiver.heard.map((event) => event.id)).size).toBe(1);
  });

  test("before: the event comes although the answer never does", async () => {
    await using bench = await aSimulator();
    await using receiver = await aReceiver();
    await connect(bench, receiver, { timing: "before" });
    await bench.control.addRule({ times: 1, effect: { kind: "reset" } });
    await failureOf(paid(bench));
    expect(receiver.types()).toEqual(events);
  });

  test("after: nothing is told before the request has ended", async () => {
    await using bench = await aSimulator();
    await using receiver = await aReceiver();
    const { control } = bench;
    await connect(bench, receiver);
    await control.addRule({ operation: "payment_intents.create", effect: { kind: "hold", when: "after" } });
    const running = paid(bench);
    await control.held({ count: 1 });
    expect((await control.webhooks()).deliveries).toMatchObject([{ state: "waiting", attempts: 0 }]);
    expect(receiver.heard).toEqual([]);
    await control.release({ all: true });
    await running;
    await settled(bench);
    expect(receiver.types()).toEqual(events);
  });

  test("never: events are kept for a redelivery", async () => {
    await using bench = await aSimulator();
    await using receiver = await aReceiver();
    const { control } = bench;
    await connect(bench, receiver, { timing: "never" });
    const { id } = await paid(bench);
    expect(await control.flushWebhooks()).toEqual({ delivered: 0, failed: 0 });
    expect((await control.webhooks()).deliveries).toMatchObject([{ state: "suppressed", attempts: 0 }]);
    expect(receiver.heard).toEqual([]);
    expect(await control.redeliverWebhooks({ paymentIntent: id, copies: 2 })).toEqual({
      delivered: 2,
      failed: 0,
    });
    expect(receiver.types()).toEqual([...events, ...events]);
  });

  test("delayed: flushing does not wait for the time to pass", async () => {
    await using bench = await aSimulator();
    await using receiver = await aReceiver();
    await connect(bench, receiver, { delayMs: [3_600_000, 7_200_000] });
    await paid(bench);
    expect(receiver.heard).toEqual([]);
    expect(await bench.control.flushWebhooks()).toEqual({ delivered: 1, failed: 0 });
    expect(receiver.types()).toEqual(events);
  });

  test("delayed: they come by themselves", async () => {
    await using bench = await aSimulator();
    await using receiver = await aReceiver();
    await connect(bench, receiver, { delayMs: 30 });
    await paid(bench);
    await settled(bench);
    expect(receiver.types()).toEqual(events);
  });
});

test("shuffled deliveries come in an order of the seed, the rest when flushed", async () => {
  /** Places, in the order of arrival, of intents numbered as they were paid. */
  const arrivals = async (seed: number) => {
    await using bench = await aSimulator({ seed });
    await using receiver = await aReceiver();
    await connect(bench, receiver, { shuffle: 8 });
    const ids: string[] = [];
    for (let n = 0; n < 10; n++) ids.push((await paid(bench)).id);
    while (receiver.heard.length < 8) await Bun.sleep(5);
    expect(receiver.heard).toHaveLength(8);
    await bench.control.flushWebhooks();
    return receiver.heard.map(({ object }) => ids.indexOf(object));
  };
  const inOrder = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const first = await arrivals(7);
  expect(first).not.toEqual(inOrder);
  expect([...first].sort()).toEqual(inOrder);
  expect(await arrivals(7)).toEqual(first);
  expect(await arrivals(9)).not.toEqual(first);
});

describe("a delivery that is not answered with 2xx", () => {
  const retry = { firstMs: 1, attemptsMax: 4 };

  test("is repeated until it is", async () => {
    await using bench = await aSimulator();
    await using receiver = await aReceiver((n) => (n < 3 ? 500 : 200));
    await connect(bench, receiver, { retry });
    await paid(bench);
    await settled(bench);
    expect(receiver.heard).toHaveLength(3);
    const { deliveries } = await bench.control.webhooks();
    expect(deliveries).toMatchObject([{ state: "delivered", attempts: 3, lastStatus: 200 }]);
  });

  test("is given up in the end, also when nobody is there", async () => {
    await using bench = await aSimulator();
    await using receiver = await aReceiver(() => 302);
    const nobody = { url: "http://127.0.0.1:1/hook", secret, events };
    await connect(bench, receiver, { retry, endpoints: [{ url: receiver.url, secret, events }, nobody] });
    await paid(bench);
    await settled(bench);
    const { deliveries } = await bench.control.webhooks();
    expect(deliveries.map(({ state, attempts, lastStatus }) => [state, attempts, lastStatus])).toEqual([
      ["failed", 4, 302],
      ["failed", 4, 0],
    ]);
  });
});

test("a redelivery can be signed badly or long ago", async () => {
  await using bench = await aSimulator();
  await using receiver = await aReceiver();
  const { control } = bench;
  await connect(bench, receiver);
  await paid(bench);
  await settled(bench);
  const failed = { delivered: 0, failed: 1 };
  expect(await control.redeliverWebhooks({ all: true, secret: "whsec_other" })).toEqual(failed);
  expect(await control.redeliverWebhooks({ all: true, signedSecondsAgo: 301 })).toEqual(failed);
  expect(receiver.refused.join()).toContain("signature");
  expect(receiver.refused.join()).toContain("Timestamp");
  const { id } = receiver.heard[0]!;
  expect(await control.redeliverWebhooks({ events: [id] })).toEqual({ delivered: 1, failed: 0 });
});

test("refunds announce themselves with what the shop wrote on them", async () => {
  await using bench = await aSimulator();
  await using receiver = await aReceiver();
  await connect(bench, receiver, { endpoints: [{ url: receiver.url, secret, events: ["refund.created"] }] });
  const { id } = await paid(bench, anIntent());
  const refund = await bench.stripe.refunds.create({ payment_intent: id, metadata: { refund_id: "ref_1" } });
  await settled(bench);
  expect(receiver.heard).toMatchObject([{ type: "refund.created", object: refund.id }]);
});
