import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { UserRegisteredSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { busContract, type Listener } from "@mall/kernel/bus/contract";
import type { CloudEvent } from "@mall/kernel/bus/outbox";
import { eventPath, failurePath, sweepsPath } from "@mall/kernel/bus/paths";
import type { Delivery, Inbox } from "@mall/kernel/bus/port";
import { qstashBus, qstashVerifier, sweepSchedule } from "@mall/kernel/bus/qstash";
import { qstashRoutes, sweepRoute } from "@mall/kernel/bus/routes";
import { fault, invalid } from "@mall/kernel/fault";
import { problemAnswers } from "@mall/kernel/http";
import { tcpProxy } from "@mall/kernel/testing/proxy";
import { Client } from "@upstash/qstash";
import { Hono } from "hono";
import { type QStash, startQStash } from "./server";
import { signatureOf } from "./signature";

/** A stand-in and, at one address as behind the gateway, the routes of two services. */
async function world(inboxes: Record<Listener, Inbox>, backoffMs: number) {
  const qstash = startQStash({ speed: 5 });
  const gateway = new Hono();
  const proxy = await tcpProxy(Number(new URL(qstash.url).port));
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: gateway.fetch, development: false });
  const { current, next } = qstash.keys();
  const settings = {
    url: `http://127.0.0.1:${proxy.port}`,
    token: qstash.token,
    currentSigningKey: current,
    nextSigningKey: next,
    publicUrl: `http://127.0.0.1:${server.port}`,
    backoffMs,
  };
  for (const name of ["user", "cart"] as const)
    qstashRoutes(gateway, name, qstashVerifier(settings), inboxes[name]);
  let sweeps = 0;
  sweepRoute(gateway, qstashVerifier(settings), async () => void sweeps++);
  problemAnswers(gateway, () => {});
  return {
    sweeps: () => sweeps,
    bus: qstashBus(settings),
    qstash,
    settings,
    cut: proxy.cut,
    restore: proxy.restore,
    env: {
      BUS: "qstash",
      QSTASH_URL: settings.url,
      QSTASH_TOKEN: settings.token,
      QSTASH_CURRENT_SIGNING_KEY: current,
      QSTASH_NEXT_SIGNING_KEY: next,
      PUBLIC_URL: settings.publicUrl,
    },
    async stop() {
      await qstash.stop();
      await proxy.stop();
      await server.stop(true);
    },
  };
}

busContract("QStash", UserRegisteredSchema, world);

const eventOf = (subject: string, data: unknown = { userId: subject }): CloudEvent => ({
  specversion: "1.0",
  id: crypto.randomUUID(),
  source: "/mall/auth",
  type: UserRegisteredSchema.typeName,
  subject,
  time: new Date().toISOString(),
  datacontenttype: "application/json",
  sequence: "1",
  data: data as never,
});

describe("QStash", () => {
  const seen: CloudEvent[] = [];
  const buried: { message: unknown; error: string }[] = [];
  let failing: unknown;
  const inbox: Inbox = {
    async handle(event) {
      if (failing) throw failing;
      seen.push(event as CloudEvent);
    },
    async bury(message, error) {
      buried.push({ message, error });
    },
  };
  let at: Awaited<ReturnType<typeof world>>;
  let qstash: QStash;
  beforeAll(async () => {
    at = await world({ user: inbox, cart: inbox }, 1);
    qstash = at.qstash;
  });
  afterAll(() => at.stop());

  const deliveryOf = (event: CloudEvent): Delivery => ({ consumer: "user", event });
  const idle = () => qstash.control.idle(20_000);
  const post = (path: string, body: string, signature?: string) =>
    fetch(at.settings.publicUrl + path, {
      method: "POST",
      body,
      headers: signature ? { "upstash-signature": signature } : {},
    });

  test("gets all events of a publication in one request", async () => {
    const requests = spyOn(globalThis, "fetch");
    try {
      const events = Array.from({ length: 80 }, (_, i) => eventOf(`one-request-${i}`));
      expect(await at.bus.publish(events.map(deliveryOf))).toEqual([]);
      const published = requests.mock.calls.filter(([url]) => String(url).startsWith(at.settings.url));
      expect(published).toHaveLength(1);
      await idle();
      expect(seen.filter(({ subject }) => subject.startsWith("one-request"))).toHaveLength(80);
    } finally {
      requests.mockRestore();
    }
  });

  test("delivers an event once that was published twice", async () => {
    const event = eventOf("twice");
    await at.bus.publish([deliveryOf(event)]);
    await at.bus.publish([deliveryOf(event)]);
    await idle();
    expect(seen.filter(({ subject }) => subject === "twice")).toHaveLength(1);
  });

  test("refuses an event that is too large, alone", async () => {
    const large = deliveryOf(eventOf("large", { userId: "x".repeat(1024 * 1024) }));
    const others = Array.from({ length: 5 }, (_, i) => deliveryOf(eventOf(`beside-large-${i}`)));
    const failures = await at.bus.publish([large, ...others]);
    expect(failures).toMatchObject([{ delivery: large, kind: "refused" }]);
    await idle();
    expect(seen.filter(({ subject }) => subject.startsWith("beside-large"))).toHaveLength(5);
  });

  test("that does not know our token is away, so that no event dies of it", async () => {
    const stranger = qstashBus({ ...at.settings, token: "wrong" });
    expect(stranger.publish([deliveryOf(eventOf("stranger"))])).rejects.toThrow("invalid token");
  });

  test("is told at once about a message that will never be taken", async () => {
    failing = invalid([{ pointer: "#/data", detail: "is broken" }]);
    const event = eventOf("malformed");
    await at.bus.publish([deliveryOf(event)]);
    await idle();
    failing = undefined;
    const tried = (await qstash.control.attempts()).filter(({ body }) => body.includes(event.id));
    expect(tried.filter(({ url }) => url.endsWith("/user")).map(({ status }) => status)).toEqual([489]);
    expect(buried.find(({ message }) => (message as CloudEvent).id === event.id)?.error).toContain("489");
  });

  test("keeps to our backoff, whatever a fault says to clients", async () => {
    const signature = (path: string, body: string) =>
      signatureOf(qstash.keys().current, at.settings.publicUrl + path, body);
    failing = fault("unavailable", "DATABASE_UNAVAILABLE", "away", { retryAfterSeconds: 1 });
    const body = JSON.stringify(eventOf("away"));
    const response = await post(eventPath("user"), body, await signature(eventPath("user"), body));
    failing = undefined;
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, null]);
  });

  test("is the only one who can deliver: what it did not sign for this path has no effect", async () => {
    const count = seen.length;
    const body = JSON.stringify(eventOf("forged"));
    const { current, next } = qstash.keys();
    const sign = (key: string, path: string, text = body) =>
      signatureOf(key, at.settings.publicUrl + path, text);
    const path = eventPath("user");
    const refused = [
      await post(path, body),
      await post(path, body, "nonsense"),
      await post(path, body, await sign("sig_other", path)),
      await post(path, body, await sign(current, eventPath("cart"))),
      await post(path, body, await signatureOf(current, `http://elsewhere${path}`, body)),
      await post(path, body, await sign(current, path, `${body} `)),
      await post(failurePath("user"), body, await sign(current, path)),
    ];
    expect(refused.map(({ status }) => status)).toEqual(refused.map(() => 401));
    expect(seen.length).toBe(count);
    expect((await post(path, body, await sign(current, path))).status).toBe(204);
    expect((await post(path, body, await sign(next, path))).status).toBe(204);
    expect(seen.length).toBe(count + 2);
  });

  test("by a schedule has a service sweep, and nobody else has", async () => {
    const schedule = sweepSchedule(at.settings);
    const { schedules } = new Client({ baseUrl: at.settings.url, token: qstash.token, devMode: false });
    await schedule.set("0 0 1 1 *");
    await schedule.set("30 4 * * *");
    const [one, ...others] = await schedules.list();
    expect([one!.cron, others]).toEqual(["30 4 * * *", []]);
    expect(await schedule.get()).toMatchObject({ cron: "30 4 * * *", isPaused: false });
    await qstash.control.hasten(one!.scheduleId);
    await idle();
    expect(at.sweeps()).toBe(1);
    const { current } = qstash.keys();
    const sign = (key: string, path: string) => signatureOf(key, at.settings.publicUrl + path, "");
    for (const signature of [
      undefined,
      await sign("sig_other", sweepsPath),
      await sign(current, "/_events/user"),
    ])
      expect((await post(sweepsPath, "", signature)).status).toBe(401);
    expect(at.sweeps()).toBe(1);
    await schedule.remove();
    expect(await schedule.get()).toBeUndefined();
  });

  test("reports what is no event at all, and it is kept as it came", async () => {
    failing = new Error("cannot read it");
    await fetch(`${qstash.url}/v2/publish/${at.settings.publicUrl}${eventPath("user")}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${qstash.token}`,
        "upstash-retries": "1",
        "upstash-retry-delay": "1",
        "upstash-failure-callback": at.settings.publicUrl + failurePath("user"),
      },
      body: "not even JSON: \u0000 é",
    });
    await idle();
    failing = undefined;
    expect(buried.at(-1)).toMatchObject({ message: "not even JSON: \u0000 é" });
    expect(buried.at(-1)!.error).toStartWith("answered 500 after 1 retries: ");
  });
});
