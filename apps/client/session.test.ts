import { describe, expect, test } from "bun:test";
import { faultOf } from "./fault";
import { createSession, type KeptTokens, memoryStore, tabLock } from "./session";
import { impatient, type Refusal, type Step, scripted, surfaces } from "./testing";

const url = "http://mall.test";
const first = { accessToken: "access-0", refreshToken: "refresh-0", expiresIn: 900 };
const refused = (reason: string): Refusal => ({ code: "unauthenticated", status: 401, reason });

/** Answers refreshes with the next generation, as the mall does, after a moment. */
function refreshing() {
  let generation = 0;
  return async (): Promise<Response> => {
    await Bun.sleep(5);
    generation++;
    const tokens = {
      accessToken: `access-${generation}`,
      refreshToken: `refresh-${generation}`,
      expiresIn: 900,
    };
    return Response.json({ tokens });
  };
}

const over = () => Response.json({ reason: "REFRESH_TOKEN_REUSED" }, { status: 401 });
const bearers = (requests: Request[]) => requests.map(({ headers }) => headers.get("authorization"));
const reasonOf = (call: Promise<unknown>) =>
  call.then(
    () => "no error",
    (error) => faultOf(error)?.reason,
  );

describe.each(Object.entries(surfaces))("on %s", (_, surface) => {
  async function signedIn(steps: Step[], refresh: () => Promise<Response> | Response = refreshing()) {
    const mall = scripted(steps, refresh);
    let ended = 0;
    const clock = { ms: 0 };
    const session = createSession({
      ...{ url, fetch: mall.fetch, nowMs: () => clock.ms },
      onEnd: () => {
        ended++;
      },
    });
    await session.signIn(first);
    const calls = surface({ url, fetch: mall.fetch, session, retry: impatient().retry });
    return { ...mall, ...calls, session, clock, ended: () => ended };
  }

  test("a refused token is renewed and the request sent once more, even one that must not be repeated", async () => {
    for (const reason of ["TOKEN_EXPIRED", "TOKEN_STALE", "UNAUTHENTICATED"]) {
      const { add, requests, refreshes } = await signedIn([refused(reason)]);
      await add();
      expect(bearers(requests)).toEqual(["Bearer access-0", "Bearer access-1"]);
      expect(await refreshes[0]!.json()).toEqual({ refreshToken: "refresh-0" });
      expect(bearers(refreshes)).toEqual([null]);
    }
  });

  test("it is renewed once a call, and not for other refusals", async () => {
    const twice = await signedIn([refused("TOKEN_STALE"), refused("TOKEN_STALE")]);
    expect(await reasonOf(twice.add())).toBe("TOKEN_STALE");
    expect([twice.requests.length, twice.refreshes.length]).toEqual([2, 1]);
    const wrong = await signedIn([refused("INVALID_CREDENTIALS")]);
    expect(await reasonOf(wrong.list())).toBe("INVALID_CREDENTIALS");
    expect([wrong.requests.length, wrong.refreshes.length]).toEqual([1, 0]);
  });

  test("calls that are refused together renew the token once", async () => {
    const { list, requests, refreshes } = await signedIn(Array<Step>(8).fill(refused("TOKEN_EXPIRED")));
    await Promise.all(Array.from({ length: 8 }, () => list()));
    expect(refreshes).toHaveLength(1);
    expect(bearers(requests).slice(8)).toEqual(Array(8).fill("Bearer access-1"));
  });

  test("calls that cannot renew it together ask once", async () => {
    const { add, refreshes, clock } = await signedIn([], () => new Response(null, { status: 503 }));
    clock.ms = 901_000;
    const reasons = await Promise.all(Array.from({ length: 8 }, () => reasonOf(add())));
    expect(new Set(reasons)).toEqual(new Set(["NO_ANSWER"]));
    expect(refreshes).toHaveLength(1);
  });

  test("who signs out while a call is repeated is a guest from then on", async () => {
    const { fetch, requests } = scripted(["drop"]);
    const store = memoryStore();
    const session = createSession({ url, fetch, store });
    await session.signIn(first);
    const sleep = () => store.save(undefined);
    await surface({ url, fetch, session, retry: { sleep } }).list();
    expect(bearers(requests)).toEqual(["Bearer access-0", null]);
  });

  test("a token that is about to expire is renewed before it is used", async () => {
    const { list, requests, refreshes, clock } = await signedIn([]);
    clock.ms = 869_000;
    await list();
    clock.ms = 871_000;
    await Promise.all([list(), list()]);
    expect(bearers(requests)).toEqual(["Bearer access-0", "Bearer access-1", "Bearer access-1"]);
    expect(refreshes).toHaveLength(1);
  });

  test("when the mall cannot renew it, a token is used to its end and the session is kept", async () => {
    const { add, list, session, clock, requests, ended } = await signedIn(
      [],
      () => new Response(null, { status: 503 }),
    );
    clock.ms = 880_000;
    await add();
    expect(bearers(requests)).toEqual(["Bearer access-0"]);
    clock.ms = 901_000;
    expect(await reasonOf(add())).toBe("NO_ANSWER");
    expect(await reasonOf(list())).toBe("NO_ANSWER");
    expect(requests).toHaveLength(1);
    expect([await session.isSignedIn(), ended()]).toEqual([true, 0]);
  });

  test("when the session has ended, it is forgotten: the public is still open, the rest asks to sign in", async () => {
    const { add, list, session, requests, ended } = await signedIn([refused("UNAUTHENTICATED")], over);
    expect(await reasonOf(add())).toBe("UNAUTHENTICATED");
    expect([await session.isSignedIn(), ended(), requests.length]).toEqual([false, 1, 1]);
    await list();
    expect(bearers(requests)).toEqual(["Bearer access-0", null]);
    const open = await signedIn([refused("UNAUTHENTICATED")], over);
    await open.list();
    expect(bearers(open.requests)).toEqual(["Bearer access-0", null]);
  });

  test("the caller's own Authorization is left as it is", async () => {
    const { list, requests } = await signedIn([]);
    await list({ headers: { authorization: "Bearer machine" } });
    expect(bearers(requests)).toEqual(["Bearer machine"]);
  });
});

/** Two tabs of one browser. */
function tabs(refresh: (request: Request) => Promise<Response> | Response = refreshing()) {
  const mall = scripted([], refresh);
  const store = memoryStore();
  const tab = (lock = tabLock()) => createSession({ url, store, lock, fetch: mall.fetch });
  return { ...mall, store, tab };
}

describe("tabs", () => {
  test("with a common lock renew once and share what came", async () => {
    const { tab, refreshes } = tabs();
    const lock = tabLock();
    const [a, b] = [tab(lock), tab(lock)];
    await a.signIn(first);
    expect(await Promise.all([a.renew("access-0"), b.renew("access-0")])).toEqual(["access-1", "access-1"]);
    expect(refreshes).toHaveLength(1);
  });

  test("go on after one of them has failed", async () => {
    const lock = tabLock();
    const failed = lock(() => Promise.reject(new Error("away")));
    const next = lock(async () => "done");
    await expect(failed).rejects.toThrow("away");
    expect(await next).toBe("done");
  });

  test("ask for the lock by one name where the browser has Web Locks", async () => {
    const names: string[] = [];
    const locks = {
      request(name: string, work: () => unknown) {
        names.push(name);
        return work();
      },
    };
    Object.defineProperty(globalThis.navigator, "locks", { value: locks, configurable: true });
    try {
      const { tab } = tabs();
      const session = tab();
      await session.signIn(first);
      expect(await session.renew("access-0")).toBe("access-1");
    } finally {
      Object.defineProperty(globalThis.navigator, "locks", { value: undefined, configurable: true });
    }
    expect(names).toEqual(["mall-session"]);
  });

  test("without a common lock never put older tokens over newer ones, nor a sign-out aside", async () => {
    const kept: (KeptTokens | undefined)[] = [];
    for (const meanwhile of ["another", undefined]) {
      const tokens = meanwhile && { accessToken: meanwhile, refreshToken: meanwhile, expiresAtMs: 1 };
      const { tab, store } = tabs(async () => {
        await store.save(tokens || undefined);
        return Response.json({ tokens: { accessToken: "late", refreshToken: "late", expiresIn: 900 } });
      });
      const session = tab();
      await session.signIn(first);
      expect(await session.renew("access-0")).toBe(meanwhile);
      kept.push(await store.load());
    }
    expect(kept.map((tokens) => tokens?.accessToken)).toEqual(["another", undefined]);
  });
});

describe("signing out", () => {
  test("ends the session with a token that is good, and forgets it", async () => {
    const { tab, requests } = tabs();
    const session = tab();
    await session.signIn({ ...first, expiresIn: 0 });
    await session.signOut();
    expect(await session.isSignedIn()).toBe(false);
    expect(requests.map(({ url }) => new URL(url).pathname)).toEqual(["/v1/auth/logout"]);
    expect(bearers(requests)).toEqual(["Bearer access-1"]);
  });

  test("forgets the tokens when the mall cannot be reached", async () => {
    const fetch = (async () => {
      throw new TypeError("fetch failed");
    }) as unknown as typeof globalThis.fetch;
    for (const expiresIn of [0, 900]) {
      const session = createSession({ url, fetch });
      await session.signIn({ ...first, expiresIn });
      await session.signOut();
      expect(await session.isSignedIn()).toBe(false);
    }
  });
});
