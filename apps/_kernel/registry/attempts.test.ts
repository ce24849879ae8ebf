import { describe, expect, test } from "bun:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { fault, hasReason } from "../fault";
import { sender } from "./attempts";
import { balancer } from "./balancer";
import { type Dial, type Discovery, drainingHeader, NotSent, type Outgoing } from "./port";
import { remoteRegistry } from "./remote";
import { overloaded, serviceSign, unreachable, wasNeverSent } from "./unreachable";

/** What an instance does with a request. */
type Behaviour = "answers" | "hangs" | "breaks" | "refuses";

const never = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

/** Instances that behave as they are told, and who was asked what. */
function world(...behaviours: Behaviour[]) {
  const instances = behaviours.map((_, i) => ({ id: String(i), url: `http://${i}` }));
  const sent: string[] = [];
  const aborted: string[] = [];
  const dial: Dial = async ({ id }, { signal }) => {
    const behaviour = behaviours[Number(id)]!;
    if (behaviour === "refuses") throw new NotSent(id);
    sent.push(id);
    signal.addEventListener("abort", () => aborted.push(id), { once: true });
    if (behaviour === "breaks") throw new Error("ECONNRESET");
    return behaviour === "hangs" ? never(signal) : new Response(id);
  };
  const probe = async () => Promise.reject(new Error("still away"));
  const counted: boolean[] = [];
  const send = sender({
    ...{ service: "product", dial, balancer: balancer({ instances: () => instances, probe }) },
    onAttempt: (_, isRepetition) => counted.push(isRepetition),
  });
  const request = (signal: AbortSignal): Outgoing => ({
    ...{ method: "POST", path: "/", headers: new Headers(), signal },
  });
  const ask = async (isRepeatable: boolean, timeoutMs = 60_000) => {
    try {
      return await (await send(request(AbortSignal.timeout(timeoutMs)), isRepeatable)).text();
    } catch (error) {
      return hasReason(error, "SERVICE_UNAVAILABLE") ? "SERVICE_UNAVAILABLE" : (error as Error).message;
    }
  };
  const askOften = (count: number, isRepeatable: boolean) =>
    Promise.all(Array.from({ length: count }, () => ask(isRepeatable)));
  const discovery: Discovery = {
    ...{ instances: () => instances, isKnowing: () => true, close() {} },
    ...{ announce: async () => {}, withdraw: async () => {} },
  };
  const registry = remoteRegistry({ discovery, dial });
  return { sent, aborted, counted, ask, askOften, dial, behaviours, registry };
}

describe("a request that may not be repeated", () => {
  test("is sent once, whatever becomes of it", async () => {
    const { ask, sent, counted } = world("breaks", "breaks");
    for (let i = 0; i < 20; i++) expect(await ask(false)).toBe("ECONNRESET");
    expect(sent.length).toBe(20);
    expect(counted).toEqual(Array(20).fill(false));
  });

  test("waits for a slow instance until its deadline", async () => {
    const { ask, sent } = world("hangs", "hangs");
    expect(await ask(false, 1_500)).toContain("timed out");
    expect(sent.length).toBe(1);
  });

  test("is sent to the next instance where it could not be sent to the first, and to none twice", async () => {
    const { ask, sent } = world("refuses", "answers", "refuses");
    for (let i = 0; i < 20; i++) expect(await ask(false)).toBe("1");
    expect(sent.length).toBe(20);
    const nobody = world("refuses", "refuses");
    expect(await nobody.ask(false)).toBe("SERVICE_UNAVAILABLE");
    expect(await world().ask(true)).toBe("SERVICE_UNAVAILABLE");
  });
});

describe("who is told that nobody can be reached", () => {
  const errorOf = async (isRepeatable: boolean, ...behaviours: Behaviour[]) => {
    const { registry } = world(...behaviours);
    const request = new Request("http://product/", { method: "POST", signal: AbortSignal.timeout(60_000) });
    return registry
      .fetch("product")(request, { isRepeatable })
      .catch((error: unknown) => error);
  };

  test("knows whether somebody may have had the request", async () => {
    for (const isRepeatable of [true, false])
      expect(wasNeverSent(await errorOf(isRepeatable, "refuses", "refuses"), "product")).toBe(true);
    // the first broke off with it, then nobody was there
    expect(wasNeverSent(await errorOf(true, "breaks", "refuses"), "product")).toBe(false);
    expect(wasNeverSent(await errorOf(false, "breaks"), "product")).toBe(false);
    // what a neighbour says of a neighbour of its own is no word about itself
    expect(wasNeverSent(await errorOf(true, "refuses"), "auth")).toBe(false);
  });
});

test.each([
  ["cannot be reached", unreachable("payment", true), 0, "away"],
  ["breaks a connection", new Error("ECONNRESET"), 0, "away"],
  ["answers with nonsense", new ConnectError("HTTP 502", Code.Unavailable), 0, "away"],
  ["takes seconds", new ConnectError("late", Code.DeadlineExceeded), 4_000, "away"],
  ["takes seconds, by fetch", new DOMException("late", "TimeoutError"), 4_000, "away"],
  ["has a caller of little patience", new ConnectError("late", Code.DeadlineExceeded), 3_999, undefined],
  ["has such a caller by fetch", new DOMException("late", "TimeoutError"), 3_999, undefined],
  ["has a caller who left", new ConnectError("gone", Code.Canceled), 9_000, undefined],
  ["has such a caller by fetch", new DOMException("gone", "AbortError"), 9_000, undefined],
  ["is asked too much at once", overloaded("payment"), 0, undefined],
  ["cannot read what it was sent", new ConnectError("message too large", Code.ResourceExhausted), 0, "well"],
  ["has no database", fault("unavailable", "DATABASE_UNAVAILABLE", "away"), 0, "well"],
  ["refuses", fault("permission_denied", "FORBIDDEN", "no"), 0, "well"],
] as const)("a service that %s", (_, error, elapsedMs, sign) => {
  expect(serviceSign(error, elapsedMs)).toBe(sign);
});

describe("a request that may be repeated", () => {
  test("goes to another instance when its connection broke", async () => {
    const { askOften, counted } = world("breaks", "answers");
    expect(new Set(await askOften(4, true))).toEqual(new Set(["1"]));
    expect(counted.length).toBeLessThanOrEqual(8);
  });

  test("goes to another instance as well when no answer comes for a second; the slow one is left", async () => {
    const { ask, aborted, sent } = world("hangs", "answers");
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(true)));
    expect(new Set(answers)).toEqual(new Set(["1"]));
    expect(sent.filter((id) => id === "0").length).toBe(aborted.filter((id) => id === "0").length);
    expect(aborted).not.toContain("1");
  });

  test("is not repeated beyond its deadline, nor where nobody else is there", async () => {
    const { ask, sent } = world("hangs");
    expect(await ask(true, 2_300)).toContain("timed out");
    expect(sent.length).toBe(1);
  });

  test("ends with the reason of its signal, however often it was tried", async () => {
    const { registry, sent } = world("hangs", "hangs");
    const caller = new AbortController();
    const request = new Request("http://product/", { signal: caller.signal });
    const asked = registry
      .fetch("product")(request, { isRepeatable: true })
      .catch((error: unknown) => error);
    while (sent.length < 2) await Bun.sleep(10);
    const late = new ConnectError("the operation timed out", Code.DeadlineExceeded);
    caller.abort(late);
    expect(await asked).toBe(late);
  });

  test("costs no more than a tenth in an outage, beside ten at its begin", async () => {
    for (const behaviour of ["breaks", "hangs"] as const) {
      const { ask, sent, counted } = world(behaviour, behaviour);
      const count = 400;
      await Promise.all(Array.from({ length: count }, () => ask(true, 1_300)));
      expect(sent.length).toBeGreaterThan(count);
      expect(sent.length).toBeLessThanOrEqual(count * 1.1 + 10);
      expect(counted.length).toBe(sent.length);
    }
  });
});

test("an instance that hangs is out after three requests were lost to it", async () => {
  const { ask, sent } = world("hangs", "answers");
  // one after the other: nobody waits for the instance when the next one chooses
  for (let i = 0; i < 12; i++) expect(await ask(true)).toBe("1");
  expect(sent.filter((id) => id === "0").length).toBeLessThanOrEqual(3);
});

test("a caller without patience throws no instance out", async () => {
  const { ask, sent, behaviours } = world("hangs", "answers");
  for (let i = 0; i < 40; i++) await ask(false, 5);
  behaviours[0] = "answers";
  sent.length = 0;
  for (let i = 0; i < 40; i++) await ask(false);
  expect(sent).toContain("0");
});

test("what stands between two processes is taken off the answer", async () => {
  const headers = { [drainingHeader]: "1", connection: "close", etag: '"1"' };
  const registry = remoteRegistry({
    discovery: { instances: () => [{ id: "0", url: "http://0" }] } as never,
    dial: async () => new Response("ok", { headers }),
  });
  const answer = await registry.fetch("product")(new Request("http://any/"));
  expect([...answer.headers.keys()].toSorted()).toEqual(["etag"]);
});

test("a service that hangs takes a bounded part of its callers, and the others none", async () => {
  const { dial } = world("hangs");
  const registry = remoteRegistry({
    discovery: { instances: (service: string) => [{ id: "0", url: `http://${service}` }] } as never,
    dial: async (instance, request, service) =>
      instance.url === "http://product" ? dial(instance, request, service) : new Response("cart"),
    inFlightMax: 3,
  });
  const patient = new AbortController();
  const ask = (service: "product" | "cart") =>
    registry.fetch(service)(new Request("http://any/", { signal: patient.signal }));
  const waiting = Promise.allSettled([ask("product"), ask("product"), ask("product")]);
  const refusal = await ask("product").catch((error) => error);
  expect(hasReason(refusal, "OVERLOADED")).toBe(true);
  expect(refusal.metadata.get("retry-after")).toBe("1");
  expect(wasNeverSent(refusal, "product")).toBe(true);
  expect(await (await ask("cart")).text()).toBe("cart");
  patient.abort();
  expect((await waiting).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  const again = ask("product").catch((error) => error);
  expect(hasReason(await again, "OVERLOADED")).toBe(false);
});
