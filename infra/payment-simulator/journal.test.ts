import { afterAll, expect, test } from "bun:test";
import { appendFileSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { controlClient } from "./control-client";
import { anIntent, aSimulator, failureOf, libraryAt, paid } from "./testing";

const folder = mkdtempSync(join(tmpdir(), "simulator-"));
afterAll(() => rmSync(folder, { recursive: true }));
const aFile = () => join(folder, `${crypto.randomUUID()}.jsonl`);

/** The program itself, as a process. */
async function aProcess(ledger: string) {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "main.ts")], {
    env: { ...process.env, PORT: "0", SIMULATOR_LEDGER: ledger },
    stdout: "pipe",
    stderr: "inherit",
  });
  const reader = child.stdout.getReader();
  let said = "";
  while (!said.includes("\n")) said += new TextDecoder().decode((await reader.read()).value);
  reader.releaseLock();
  const [url] = /http:\/\/[\d.]+:\d+/.exec(said)!;
  return {
    url,
    stripe: libraryAt(url),
    control: controlClient(url),
    kill: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

test("nothing that was answered is lost when the process is killed", async () => {
  const ledger = aFile();
  const options = { idempotencyKey: crypto.randomUUID() };
  const params = { ...anIntent(), confirm: true, payment_method: "tok_ok" };
  await using first = await aProcess(ledger);
  const { id, client_secret } = await first.stripe.paymentIntents.create(params, options);
  await first.stripe.refunds.create({ payment_intent: id, amount: 10 });
  await first.control.setWebhooks({ timing: "never", copies: 2 });
  const before = await first.control.ledger();
  // one more is under way: executed, its answer held
  await first.control.addRule({ operation: "refunds.create", effect: { kind: "hold", when: "after" } });
  const refund = { idempotencyKey: crypto.randomUUID() };
  const lost = failureOf(first.stripe.refunds.create({ payment_intent: id, amount: 20 }, refund));
  await first.control.held({ count: 1 });
  await first.kill();
  expect((await lost).type).toBe("StripeConnectionError");

  await using second = await aProcess(ledger);
  const { entries } = await second.control.ledger();
  expect(entries.slice(0, 3)).toEqual(before.entries);
  expect(entries).toHaveLength(4);
  expect(await second.stripe.paymentIntents.create(params, options)).toMatchObject({ id, client_secret });
  expect((await second.stripe.refunds.create({ payment_intent: id, amount: 20 }, refund)).amount).toBe(20);
  expect((await second.control.ledger()).sums).toMatchObject([{ captured: 1000, refunded: 30 }]);
  expect((await second.control.webhooks()).settings).toMatchObject({ timing: "never", copies: 2 });
  const { id: other } = await second.stripe.paymentIntents.create(anIntent());
  const { data } = await second.stripe.paymentIntents.list();
  expect(data.map((intent) => intent.id)).toEqual([other, id]);
});

test("a request that ends after the stop writes nowhere", async () => {
  const ledger = aFile();
  const bench = await aSimulator({ ledger });
  await bench.control.addRule({ effect: { kind: "delay", when: "before", ms: 100 } });
  const lost = failureOf(paid(bench));
  while ((await bench.control.rules())[0]!.fired === 0) await Bun.sleep(5);
  await bench.stop();
  // takes the number that the ledger's file had
  const [other, before] = [aFile(), readFileSync(ledger, "utf8")];
  const handle = openSync(other, "a");
  expect((await lost).type).toBe("StripeConnectionError");
  await Bun.sleep(150);
  expect([readFileSync(ledger, "utf8"), readFileSync(other, "utf8")]).toEqual([before, ""]);
  closeSync(handle);
});

test("half a line that a killed process left counts as not written", async () => {
  const ledger = aFile();
  let id: string;
  {
    await using bench = await aSimulator({ ledger });
    id = (await paid(bench)).id;
  }
  const whole = readFileSync(ledger, "utf8");
  appendFileSync(ledger, '{"ids":99,"objects":[{"obj');
  await using again = await aSimulator({ ledger });
  expect(readFileSync(ledger, "utf8")).toBe(whole);
  expect((await again.stripe.paymentIntents.retrieve(id)).status).toBe("succeeded");
  await paid(again);
  expect((await again.control.ledger()).sums).toHaveLength(2);
});

test("what was not delivered is delivered by the next process", async () => {
  const ledger = aFile();
  const heard: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      heard.push(((await request.json()) as { type: string }).type);
      return new Response();
    },
  });
  const url = `http://127.0.0.1:${server.port}/`;
  {
    await using bench = await aSimulator({ ledger });
    const endpoints = [{ url, secret: "whsec_x", events: ["payment_intent.succeeded"] }];
    await bench.control.setWebhooks({ delayMs: 3_600_000, endpoints });
    await paid(bench);
  }
  expect(heard).toEqual([]);
  await using again = await aSimulator({ ledger });
  await again.control.flushWebhooks();
  expect(heard).toEqual(["payment_intent.succeeded"]);
  expect((await again.control.webhooks()).deliveries).toMatchObject([{ state: "delivered", attempts: 1 }]);
  await server.stop(true);
});

test("a reset empties the file too, but not the settings of webhooks when they are to stay", async () => {
  const ledger = aFile();
  {
    await using bench = await aSimulator({ ledger });
    await bench.control.setWebhooks({ copies: 3 });
    await paid(bench);
    await bench.control.reset({ keepWebhooks: true });
  }
  await using again = await aSimulator({ ledger });
  expect((await again.control.ledger()).entries).toEqual([]);
  expect((await again.control.webhooks()).settings.copies).toBe(3);
});

test("ids are the same for the same seed", async () => {
  await using one = await aSimulator({ seed: 1 });
  await using same = await aSimulator({ seed: 1 });
  await using other = await aSimulator({ seed: 2 });
  const [{ id }, again, another] = [await paid(one), await paid(same), await paid(other)];
  expect(again.id).toBe(id);
  expect(another.id).not.toBe(id);
});
