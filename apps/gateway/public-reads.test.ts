import { describe, expect, test } from "bun:test";
import type { Registry } from "@mall/kernel/registry/port";
import { answerStore, type Kept } from "./answer-store";
import { degraded, publicReads } from "./public-reads";
import { createGateway } from "./service";

/** A service that answers as it is told, a cache before it, and a clock that stands still. */
function world({ cacheMs = 1_000, mayJoin = true } = {}) {
  let nowMs = 1_000_000;
  let answer = async (): Promise<Response> => Response.json({ version: 1 });
  const asked: Request[] = [];
  const work: Promise<unknown>[] = [];
  const read = publicReads({ cacheMs, mayJoin, nowMs: () => nowMs });
  const get = (path: string, headers: Record<string, string> = {}, signal?: AbortSignal) =>
    read(
      new Request(`http://mall${path}`, { headers, signal }),
      (request) => {
        asked.push(request);
        return answer();
      },
      (going) => void work.push(going),
    );
  return {
    asked,
    get,
    text: async (path: string, headers?: Record<string, string>) => (await get(path, headers)).text(),
    pass(ms: number) {
      nowMs += ms;
    },
    answers(next: () => Promise<Response> | Response) {
      answer = async () => next();
    },
    settled: () => Promise.all(work),
  };
}

const version = (number: number) => () => Response.json({ version: number });
const one = JSON.stringify({ version: 1 });
const two = JSON.stringify({ version: 2 });

describe("an answer that all may read", () => {
  test("has a weak ETag of what it says, and is not sent again to who has it", async () => {
    const { get, answers } = world({ cacheMs: 0 });
    const first = await get("/v1/products");
    const etag = first.headers.get("etag")!;
    expect(etag).toMatch(/^W\/"[\w-]{22}"$/);
    for (const same of [etag, etag.slice(2), `"x", ${etag}`, "*"]) {
      const again = await get("/v1/products", { "if-none-match": same });
      expect([again.status, await again.text(), again.headers.get("etag")]).toEqual([304, "", etag]);
    }
    answers(version(2));
    const changed = await get("/v1/products", { "if-none-match": etag });
    expect([changed.status, await changed.text()]).toEqual([200, two]);
    expect(changed.headers.get("cache-control")).toBe("public, no-cache");
  });

  test("is kept a while, renewed behind the back of who reads it, and asked for when it is old", async () => {
    const { asked, text, get, pass, answers, settled } = world();
    expect(await text("/v1/products")).toBe(one);
    answers(version(2));
    pass(499);
    const kept = await get("/v1/products");
    expect([await kept.text(), kept.headers.get("cache-status"), asked.length]).toEqual([
      one,
      "edgemall; hit; ttl=0",
      1,
    ]);
    expect(kept.headers.get("cache-control")).toBe(
      "public, max-age=1, stale-while-revalidate=1, stale-if-error=600",
    );
    pass(1);
    expect([await text("/v1/products"), asked.length]).toEqual([one, 2]);
    await settled();
    expect([await text("/v1/products"), asked.length]).toEqual([two, 2]);
    answers(version(3));
    pass(1_000);
    expect(JSON.parse(await text("/v1/products"))).toEqual({ version: 3 });
  });

  test("is another one for another query, and for who is signed in comes from the service", async () => {
    const { asked, get } = world();
    for (const path of ["/v1/products", "/v1/products?q=a", "/v1/products?q=b"]) await get(path);
    const authorization = "Bearer x";
    for (let i = 0; i < 2; i++) {
      const own = await get("/v1/products", { authorization });
      expect([own.headers.get("cache-control"), own.headers.get("etag")]).toMatchObject([
        "private, no-cache",
        expect.stringMatching(/^W/),
      ]);
    }
    expect(asked.map(({ headers }) => headers.get("authorization"))).toEqual([
      null,
      null,
      null,
      authorization,
      authorization,
    ]);
    expect((await get("/v1/products")).headers.get("vary")).toBe("Authorization");
  });

  test("ends with what was kept when the service says that there is nothing any more", async () => {
    const { get, pass, answers } = world();
    await get("/v1/products/x");
    answers(() => Response.json({ reason: "PRODUCT_NOT_FOUND" }, { status: 404 }));
    pass(1_000);
    expect((await get("/v1/products/x")).status).toBe(404);
    answers(() => Response.json({}, { status: 503 }));
    expect((await get("/v1/products/x")).status).toBe(503);
  });
});

describe("identical reads at the same time", () => {
  test("are one to the service, which hears of none of their senders, and each gets an id of its own", async () => {
    const { asked, get } = world({ cacheMs: 0 });
    const ids = Array.from({ length: 50 }, () => crypto.randomUUID());
    const answers = await Promise.all(
      ids.map((id) => get("/v1/products", { "x-request-id": id, cookie: "c", "x-cart-secret": "s" })),
    );
    expect(asked).toHaveLength(1);
    expect(answers.map(({ headers }) => headers.get("x-request-id"))).toEqual(ids);
    expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(ids.map(() => one));
    expect([asked[0]!.headers.get("cookie"), asked[0]!.headers.get("x-cart-secret")]).toEqual([null, null]);
    await get("/v1/products");
    expect(asked).toHaveLength(2);
  });

  test("are each its own where requests must not wait for each other, or has a deadline", async () => {
    const alone = world({ cacheMs: 0, mayJoin: false });
    await Promise.all([alone.get("/v1/products"), alone.get("/v1/products")]);
    expect(alone.asked).toHaveLength(2);
    const hurried = world({ cacheMs: 0 });
    const timed = { "connect-timeout-ms": "900" };
    await Promise.all([hurried.get("/v1/products", timed), hurried.get("/v1/products", timed)]);
    expect(hurried.asked.map(({ headers }) => headers.get("connect-timeout-ms"))).toEqual(["900", "900"]);
  });

  test("go on while one of them waits, and end when the last has gone", async () => {
    const { asked, get, answers } = world({ cacheMs: 0 });
    const { promise, resolve } = Promise.withResolvers<Response>();
    answers(async () => (await promise).clone());
    const [first, second] = [new AbortController(), new AbortController()];
    const waiting = [get("/v1/products", {}, first.signal), get("/v1/products", {}, second.signal)];
    first.abort();
    expect([asked.length, asked[0]!.signal.aborted]).toEqual([1, false]);
    second.abort();
    expect(asked[0]!.signal.aborted).toBe(true);
    const later = get("/v1/products");
    expect(asked).toHaveLength(2);
    resolve(Response.json({ version: 1 }));
    await Promise.all([...waiting, later]);
  });
});

describe("while the service is away", () => {
  test("what was kept is served for ten minutes, and marked", async () => {
    const { get, text, pass, answers } = world();
    await get("/v1/products");
    const failures = [
      () => Response.json({}, { status: 503 }),
      () => Promise.reject(new Error("refused")),
      () => new Promise<Response>(() => {}),
    ];
    for (const failure of failures) {
      answers(failure);
      pass(20_000);
      const old = await get("/v1/products");
      expect([old.status, await old.text()]).toEqual([200, one]);
      expect(old.headers.get("cache-status")).toMatch(/^edgemall; hit; ttl=-\d+; detail=stale-if-error$/);
      expect(Number(old.headers.get("age"))).toBeGreaterThanOrEqual(20);
    }
    answers(version(2));
    expect((await world().get("/v1/products")).headers.get("cache-status")).toBeNull();
    pass(degraded.staleSecondsMax * 1000);
    const other = world();
    await other.get("/v1/products");
    other.answers(() => Response.json({}, { status: 503 }));
    other.pass(degraded.staleSecondsMax * 1000 + 1);
    expect((await other.get("/v1/products")).status).toBe(503);
    expect(await text("/v1/other")).toBe(two);
  });

  test("a service that hangs is waited for once, not by everybody", async () => {
    const { get, pass, answers } = world();
    await get("/v1/products");
    pass(2_000);
    answers(() => new Promise<Response>(() => {}));
    const timed = async () => {
      const startedMs = performance.now();
      await get("/v1/products");
      return performance.now() - startedMs;
    };
    const first = await timed();
    const others = [];
    for (let i = 0; i < 20; i++) others.push(await timed());
    expect(others.reduce((sum, ms) => sum + ms)).toBeLessThan(first);
  });
});

test("the store holds what was read last, up to its size", () => {
  const store = answerStore(10_000);
  const answer = (bytes: number): Kept => ({
    status: 200,
    headers: new Headers(),
    bytes: new Uint8Array(bytes),
    atMs: 0,
  });
  for (const key of ["a", "b", "c"]) store.put(key, answer(2_000));
  store.get("a");
  store.put("d", answer(2_000));
  expect(["a", "b", "c", "d"].filter((key) => store.get(key))).toEqual(["a", "c", "d"]);
  store.put("e", answer(20_000));
  expect(["a", "c", "d", "e"].filter((key) => store.get(key))).toEqual([]);
});

describe("the gateway", () => {
  function gateway(env: Record<string, string>) {
    const asked: string[] = [];
    let isAway = false;
    const registry = {
      fetch: (service: string) => async (request: Request) => {
        asked.push(new URL(request.url).pathname);
        if (isAway && service === "product") throw new TypeError("refused");
        return Response.json({ at: asked.length }, { headers: { "cache-control": "no-store" } });
      },
      transport: () => ({}),
    } as unknown as Registry;
    const { fetch } = createGateway({
      env: { MALL_ENV: "test", LOG_LEVEL: "silent", ...env },
      registry,
      docsAsset: async () => undefined,
    });
    const ask = (path: string, method = "GET") => fetch(new Request(`http://mall${path}`, { method }));
    const become = (away: boolean) => () => {
      isAway = away;
    };
    return { asked, ask, goesAway: become(true), returns: become(false) };
  }

  test("keeps reads that the contract calls public and safe, and nothing else", async () => {
    const { asked, ask } = gateway({ PUBLIC_CACHE_MS: "60000" });
    const paths = [
      "/v1/products",
      "/v1/products/prod_1",
      "/mall.product.v1.ProductService/ListProducts",
      "/v1/me",
      "/v1/carts/x",
    ];
    for (let i = 0; i < 2; i++) for (const path of paths) await ask(path);
    expect(asked).toEqual([...paths, "/v1/me", "/v1/carts/x"]);
    expect((await ask("/v1/me")).headers.get("cache-control")).toBe("no-store");
  });

  test("asks a service that is away once a second, browses on what it has, and serves all others", async () => {
    const { asked, ask, goesAway, returns } = gateway({ PUBLIC_CACHE_MS: "1" });
    await ask("/v1/products");
    goesAway();
    await Bun.sleep(5);
    for (let i = 0; i < 30; i++) {
      const old = await ask("/v1/products");
      expect([old.status, old.headers.get("cache-status")]).toMatchObject([
        200,
        expect.stringContaining("stale-if-error"),
      ]);
    }
    expect(asked.length).toBeWithin(6, 9);
    const refused = await ask("/v1/products/unread");
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    expect((await ask("/v1/me")).status).toBe(200);
    const { checks } = (await (await ask("/readyz")).json()) as {
      checks: { breakers: Record<string, string> };
    };
    expect([checks.breakers.product, checks.breakers.user]).toEqual(["open", "closed"]);
    returns();
    for (
      const untilMs = Date.now() + 10_000;
      (await ask("/v1/products/unread")).status !== 200;
      await Bun.sleep(50)
    )
      expect(Date.now()).toBeLessThan(untilMs);
    expect(await (await ask("/readyz")).json()).toMatchObject({
      checks: { breakers: { product: "closed" } },
    });
  });

  test("does not take it for an outage when a client gives too little time", async () => {
    const seen: string[] = [];
    const slow = {
      fetch: () => (request: Request) =>
        new Promise((resolve, reject) => {
          seen.push(request.url);
          request.signal.addEventListener("abort", () => reject(request.signal.reason), { once: true });
          setTimeout(resolve, 200, Response.json({}));
        }),
      transport: () => ({}),
    } as unknown as Registry;
    const env = { MALL_ENV: "test", LOG_LEVEL: "silent" };
    const { fetch } = createGateway({ env, registry: slow, docsAsset: async () => undefined });
    const ask = (headers: Record<string, string>) => fetch(new Request("http://mall/v1/me", { headers }));
    for (let i = 0; i < 10; i++) expect((await ask({ "connect-timeout-ms": "5" })).status).toBe(504);
    expect((await ask({})).status).toBe(200);
    expect(seen).toHaveLength(11);
  });
});
