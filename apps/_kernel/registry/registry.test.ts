import { afterAll, describe, expect, test } from "bun:test";
import { baseEnv, parseEnv } from "../env";
import { drainable, type Fetch } from "../host/drain";
import { atEnd } from "../testing/cleanup";
import { freePorts } from "../testing/ports";
import { startRedis, type TestRedis } from "../testing/redis";
import { type ServiceName, serviceNames } from "../topology";
import { bindingsRegistry } from "./bindings";
import { type RegistryWorld, registryContract, type TestInstance } from "./contract";
import { fetchDial } from "./dial";
import { inProcessRegistry } from "./in-process";
import type { Discovery, Registry } from "./port";
import { keepPresent } from "./presence";
import { redisDiscovery } from "./redis";
import { remoteRegistry } from "./remote";
import { discoveryOf, ownInstance } from "./settings";
import { staticDiscovery } from "./static";
import { transportOver } from "./transport";

const log = () => {};
const untouched: TestInstance = { leave: async () => {}, kill: async () => {} };

registryContract({
  driver: "neighbours in this process",
  hasMany: false,
  open: async () => {
    const registry = inProcessRegistry();
    const up = async (service: ServiceName, fetch: Fetch) => {
      const own = (request: Request) => fetch(request);
      registry.add(service, { fetch: own, transport: transportOver(own) });
      return untouched;
    };
    return { registry, up, stop: async () => {} };
  },
});

registryContract({
  driver: "service bindings",
  hasMany: false,
  open: async () => {
    const bindings: Record<string, { fetch: Fetch }> = {};
    const up = async (service: ServiceName, fetch: Fetch) => {
      bindings[service.toUpperCase()] = { fetch };
      return untouched;
    };
    return { registry: bindingsRegistry(bindings), up, stop: async () => {} };
  },
});

/** Instances as servers of this process, present as processes are. */
function worldOf(
  discovery: Discovery,
  portFor: (service: ServiceName) => number,
  close: () => Promise<void>,
  settled: () => Promise<void>,
): RegistryWorld {
  const servers = new Set<{ stop(force?: boolean): Promise<void> }>();
  const registry: Registry = remoteRegistry({ discovery, dial: fetchDial });
  async function up(service: ServiceName, handler: Fetch): Promise<TestInstance> {
    const drain = drainable(handler);
    const server = Bun.serve({ port: portFor(service), hostname: "127.0.0.1", fetch: (r) => drain.fetch(r) });
    servers.add(server);
    let isReady = true;
    let isDead = false;
    const withdraw: Discovery["withdraw"] = async (...who) => {
      if (!isDead) await discovery.withdraw(...who);
    };
    const presence = keepPresent({
      ...{ discovery: { ...discovery, withdraw }, service, log, beatMs: 50, isReady: async () => isReady },
      instance: { id: crypto.randomUUID(), url: `http://127.0.0.1:${server.port}` },
    });
    await settled();
    return {
      async leave() {
        isReady = false;
        drain.begin();
        await presence.leave();
        await settled();
      },
      async kill() {
        // as a dead process: it beats no more, and what it announced stays for a while
        isDead = true;
        await presence.leave();
        await server.stop(true);
      },
    };
  }
  const stop = async () => {
    for (const server of servers) await server.stop(true);
    await close();
  };
  return { registry, up, stop };
}

registryContract({
  driver: "static addresses",
  hasMany: true,
  open: async () => {
    const ports = await freePorts(serviceNames.length * 2);
    const taken = new Map(serviceNames.map((name, i) => [name, ports.slice(2 * i, 2 * i + 2)]));
    const urls = serviceNames.map((name) => [
      `${name.toUpperCase()}_URL`,
      taken.get(name)!.map((port) => `http://127.0.0.1:${port}`),
    ]);
    const discovery = staticDiscovery(Object.fromEntries(urls.map(([name, of]) => [name, String(of)])));
    return worldOf(
      discovery,
      (service) => taken.get(service)!.shift()!,
      async () => {},
      async () => {},
    );
  },
});

const redis = await startRedis();
if (!redis) {
  test("Redis", () =>
    console.warn(
      "SKIPPED: redis-server is not installed, its registry was not tried; infra/install-debian.sh installs it",
    ));
} else withRedis(redis);

function withRedis(server: TestRedis): void {
  atEnd(server.stop);
  const open = (prefix: string) =>
    redisDiscovery({ url: server.url, log, prefix, refreshMs: 20, ttlMs: 2_000 });
  const newPrefix = () => `test-${crypto.randomUUID().slice(0, 8)}`;
  const settled = () => Bun.sleep(150);

  registryContract({
    driver: "heartbeats in Redis",
    hasMany: true,
    open: async () => {
      const discovery = await open(newPrefix());
      return worldOf(
        discovery,
        () => 0,
        async () => discovery.close(),
        settled,
      );
    },
  });

  describe("Redis as a registry", () => {
    const opened: Discovery[] = [];
    afterAll(() => {
      for (const each of opened) each.close();
    });
    const join = async (prefix: string) => {
      const discovery = await open(prefix);
      opened.push(discovery);
      return discovery;
    };
    const one = { id: "one", url: "http://127.0.0.1:1" };
    const two = { id: "two", url: "http://127.0.0.1:2" };
    const seen = (discovery: Discovery) =>
      discovery
        .instances("cart")
        .map(({ id }) => id)
        .toSorted()
        .join();
    /** Waits until the ids are these. */
    const until = async (discovery: Discovery, ids: string) => {
      for (let tries = 0; seen(discovery) !== ids && tries < 200; tries++) await Bun.sleep(20);
      expect(seen(discovery)).toBe(ids);
    };

    test("forgets an instance that beats no more, and hears of one that goes at once", async () => {
      const prefix = newPrefix();
      const [here, there] = [await join(prefix), await join(prefix)];
      const three = { id: "three", url: "http://127.0.0.1:3" };
      for (const instance of [one, two, three]) await here.announce("cart", instance);
      await until(there, "one,three,two");
      await here.withdraw("cart", three);
      await until(there, "one,two");
      for (let i = 0; i < 14; i++) {
        await here.announce("cart", one);
        await Bun.sleep(200);
      }
      expect(seen(there)).toBe("one");
    });

    test("knows an instance from when it is ready until it is not", async () => {
      const discovery = await join(newPrefix());
      let isReady = false;
      const presence = keepPresent({
        ...{ discovery, service: "cart", instance: one, log, beatMs: 20, isReady: async () => isReady },
      });
      await discovery.announce("cart", two);
      await until(discovery, "two");
      await Bun.sleep(200);
      expect(seen(discovery)).toBe("two");
      isReady = true;
      for (let i = 0; i < 20; i++) {
        await discovery.announce("cart", two);
        await Bun.sleep(100);
      }
      expect(seen(discovery)).toBe("one,two");
      isReady = false;
      await until(discovery, "two");
      isReady = true;
      await discovery.announce("cart", two);
      await until(discovery, "one,two");
      await presence.leave();
      // well before the announcement would have run out
      await Bun.sleep(200);
      expect(seen(discovery)).toBe("two");
    });

    test("may hang, die, and come back empty: what was known holds, and beats fill it again", async () => {
      const discovery = await join(newPrefix());
      await discovery.announce("cart", one);
      await until(discovery, "one");
      server.pause();
      await Bun.sleep(1_500);
      const startedMs = performance.now();
      expect(seen(discovery)).toBe("one");
      expect(performance.now() - startedMs).toBeLessThan(100);
      await expect(discovery.announce("cart", two)).rejects.toThrow("Redis took longer");
      await server.kill();
      await expect(discovery.announce("cart", two)).rejects.toThrow();
      expect(seen(discovery)).toBe("one");
      await server.start();
      const other = { id: "other", url: "http://127.0.0.1:4" };
      for (let tries = 0; discovery.instances("order").length === 0 && tries < 100; tries++) {
        await discovery.announce("order", other).catch(() => {});
        await Bun.sleep(100);
      }
      expect([discovery.instances("order"), seen(discovery)]).toEqual([[other], "one"]);
      for (let tries = 0; seen(discovery) !== "two" && tries < 100; tries++) {
        await discovery.announce("cart", two).catch(() => {});
        await Bun.sleep(100);
      }
      expect(seen(discovery)).toBe("two");
    });
  });
}

test("an environment that asks for Redis without an address of one is not complete", async () => {
  const env = parseEnv(baseEnv, { REGISTRY: "redis" });
  await expect(discoveryOf(env, {}, log)).rejects.toThrow("REDIS_URL: must be set when REGISTRY is redis");
});

test("every start of a process is another instance, at the address that it is told", () => {
  const env = parseEnv(baseEnv, { ADVERTISED_URL: "http://cart-1:8002" });
  const [first, second] = [ownInstance(env, 8002), ownInstance(env, 8002)];
  expect([first.url, second.url]).toEqual(["http://cart-1:8002", "http://cart-1:8002"]);
  expect(first.id).not.toBe(second.id);
  expect(ownInstance(parseEnv(baseEnv, {}), 8002).url).toMatch(/^http:\/\/[\d.]+:8002$/);
});
