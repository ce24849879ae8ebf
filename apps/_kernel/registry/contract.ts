import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { hasReason } from "../fault";
import type { ServiceName } from "../topology";
import type { Registry } from "./port";

type Handler = (request: Request) => Promise<Response>;

/** An instance that a test started. */
export interface TestInstance {
  /** Ends as a process does that was told to: it is not ready any more and says so, and still answers. */
  leave(): Promise<void>;
  /** Ends at once, without a word. */
  kill(): Promise<void>;
}

/** One driver, and a way to start instances that it should find. */
export interface RegistryWorld {
  registry: Registry;
  /** Resolves when a ready instance can be found. */
  up(service: ServiceName, handler: Handler): Promise<TestInstance>;
  stop(): Promise<void>;
}

export interface RegistryContract {
  driver: string;
  /** Whether a service can have several instances. */
  hasMany: boolean;
  open(): Promise<RegistryWorld>;
}

const named =
  (name: string): Handler =>
  async () =>
    new Response(name);

/** Answers of a service to so many requests, by who gave them; what failed counts under its reason. */
async function answers(registry: Registry, service: ServiceName, count: number) {
  const counts: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const answer = await registry
      .fetch(service)(new Request("http://any/", { method: "POST", body: "x" }))
      .then(
        (response) => response.text(),
        (error) => (hasReason(error, "SERVICE_UNAVAILABLE") ? "SERVICE_UNAVAILABLE" : String(error)),
      );
    counts[answer] = (counts[answer] ?? 0) + 1;
  }
  return counts;
}

/** What every registry must do. */
export function registryContract({ driver, hasMany, open }: RegistryContract): void {
  describe(`a registry by ${driver}`, () => {
    let world: RegistryWorld;
    beforeAll(async () => {
      world = await open();
    });
    afterAll(() => world.stop());

    test("brings a request to its service as it is, and the answer back as it is", async () => {
      const body = new Uint8Array([0, 255, 10, 13, 0]);
      await world.up("order", async (request) => {
        const { pathname, search } = new URL(request.url);
        const echo = [request.method, pathname, search, request.headers.get("x-echo")].join(" ");
        expect(new Uint8Array(await request.arrayBuffer())).toEqual(body);
        return new Response(body, { status: 307, headers: { location: "/elsewhere", "x-heard": echo } });
      });
      const request = new Request("http://any/v1/orders?a=1&b=%20", {
        ...{ method: "PUT", body, headers: { "x-echo": "é".normalize() } },
      });
      const response = await world.registry.fetch("order")(request);
      expect([response.status, response.headers.get("location")]).toEqual([307, "/elsewhere"]);
      expect(response.headers.get("x-heard")).toBe("PUT /v1/orders ?a=1&b=%20 é");
      expect(new Uint8Array(await response.arrayBuffer())).toEqual(body);
    });

    test("carries the calls of generated clients", async () => {
      const { input, output } = PolicyService.method.getPolicy;
      await world.up("auth", async (request) => {
        const { knownRevision } = fromBinary(input, new Uint8Array(await request.arrayBuffer()));
        const answer = create(output, { policy: { revision: (knownRevision ?? 0n) + 1n } });
        return new Response(toBinary(output, answer) as Uint8Array<ArrayBuffer>, {
          headers: { "content-type": "application/proto" },
        });
      });
      const client = createClient(PolicyService, world.registry.transport("auth"));
      expect((await client.getPolicy({ knownRevision: 41n })).policy?.revision).toBe(42n);
    });

    test("fails at once for a service that nobody runs", async () => {
      await expect(world.registry.fetch("checkout")(new Request("http://any/"))).rejects.toThrow();
    });

    if (hasMany) manyContract(() => world);
  });
}

/** What a registry must do whose services run many times. */
function manyContract(worldOf: () => RegistryWorld): void {
  test("shares requests among the instances", async () => {
    const { up, registry } = worldOf();
    await up("cart", named("one"));
    await up("cart", named("two"));
    const { one = 0, two = 0, ...others } = await answers(registry, "cart", 200);
    expect([others, one + two]).toEqual([{}, 200]);
    expect(Math.min(one, two)).toBeGreaterThan(50);
  });

  test("loses no request, of whatever kind, to an instance that died", async () => {
    const { up, registry } = worldOf();
    const one = await up("product", named("one"));
    await up("product", named("two"));
    await answers(registry, "product", 10);
    await one.kill();
    expect(await answers(registry, "product", 100)).toEqual({ two: 100 });
  });

  test("sends no more to an instance that is about to end than it needs to hear of that", async () => {
    const { up, registry } = worldOf();
    const one = await up("payment", named("one"));
    await up("payment", named("two"));
    await answers(registry, "payment", 10);
    await one.leave();
    const { one: late = 0, two } = await answers(registry, "payment", 100);
    expect(late).toBeLessThanOrEqual(1);
    expect(late + two!).toBe(100);
    await one.kill();
    expect(await answers(registry, "payment", 20)).toEqual({ two: 20 });
  });

  test("says which service nobody runs any more", async () => {
    const { up, registry } = worldOf();
    const only = await up("user", named("only"));
    expect(await answers(registry, "user", 3)).toEqual({ only: 3 });
    await only.kill();
    expect(await answers(registry, "user", 3)).toEqual({ SERVICE_UNAVAILABLE: 3 });
  });
}
