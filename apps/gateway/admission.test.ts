import { afterAll, describe, expect, test } from "bun:test";
import { create, type DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createFetchClient } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-grpc-web";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { faultInfo } from "@mall/kernel/fault";
import { serveGrpc } from "@mall/kernel/host/bun";
import { accessTokenAudience, accessTokenIssuer } from "@mall/kernel/identity/access-token";
import type { Registry } from "@mall/kernel/registry/port";
import { freePorts } from "@mall/kernel/testing/ports";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { createBunGateway } from "./bun";

const { privateKey, publicKey } = await generateKeyPair("EdDSA", { extractable: true });
const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: "k", alg: "EdDSA", use: "sig" }] };

/** An id in the form of users. */
const userId = (n: number) => `usr_${String(n).padStart(26, "0")}`;

/** An access token of a user, good unless it is signed with another key. */
const tokenOf = (userId: string, key = privateKey) =>
  new SignJWT({ sid: "s", roles: ["customer"], ver: 1 })
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: "k" })
    .setIssuer(accessTokenIssuer)
    .setAudience(accessTokenAudience)
    .setSubject(userId)
    .setIssuedAt()
    .setJti(crypto.randomUUID())
    .setExpirationTime("10m")
    .sign(key);

const registry = {
  fetch: () => async (request: Request) =>
    request.url.endsWith("jwks.json") ? Response.json(jwks) : Response.json({ served: true }),
  transport: () => ({
    unary: async (method: DescMethodUnary) => ({ header: new Headers(), message: create(method.output) }),
  }),
} as unknown as Registry;

function gateway(env: Record<string, string>) {
  const made = createBunGateway({
    env: { MALL_ENV: "test", LOG_LEVEL: "silent", ...env },
    registry,
    docsAsset: async () => new Response("{}"),
  });
  const ask = (path: string, address = "192.0.2.1", headers: Record<string, string> = {}, method = "GET") =>
    made.fetch(new Request(`http://mall${path}`, { method, headers }), address);
  /** Statuses of requests one after the other. */
  async function statuses(count: number, ...rest: Parameters<typeof ask>): Promise<number[]> {
    const seen: number[] = [];
    for (let i = 0; i < count; i++) seen.push((await ask(...rest)).status);
    return seen;
  }
  return { ...made, ask, statuses };
}

const times = (count: number, status: number): number[] => Array(count).fill(status);
const login = "/v1/auth/login";

describe("an address", () => {
  test("has its requests a second, twice as many at once, and is told where it stands", async () => {
    const { ask, statuses } = gateway({ RATE_LIMIT_PER_ADDRESS: "2" });
    const first = await ask("/v1/products");
    expect([first.status, first.headers.get("ratelimit-policy"), first.headers.get("ratelimit")]).toEqual([
      200,
      '"address";q=4;w=2',
      '"address";r=3;t=1',
    ]);
    expect(await statuses(3, "/v1/products")).toEqual(times(3, 200));
    const refused = await ask("/v1/products");
    expect([refused.status, refused.headers.get("retry-after"), refused.headers.get("ratelimit")]).toEqual([
      429,
      "1",
      '"address";r=0;t=2',
    ]);
    expect(await refused.json()).toMatchObject({ reason: "RATE_LIMITED", metadata: { limit: "address" } });
    expect((await ask("/v1/products", "192.0.2.2")).status).toBe(200);
  });

  test("is limited on pages and unknown paths as well, and never asked how the gateway is", async () => {
    for (const [path, status] of [
      ["/openapi.json", 200],
      ["/gone", 404],
      ["/v1/products", 200],
    ] as const) {
      const { statuses } = gateway({ RATE_LIMIT_PER_ADDRESS: "1" });
      expect(await statuses(3, path)).toEqual([status, status, 429]);
      expect(await statuses(5, "/livez")).toEqual(times(5, 200));
    }
  });

  test("is a /64 of IPv6, and the client's own behind proxies that are trusted", async () => {
    const { statuses } = gateway({ RATE_LIMIT_PER_ADDRESS: "1" });
    expect(await statuses(1, "/v1/products", "2001:db8::1")).toEqual([200]);
    expect(await statuses(2, "/v1/products", "2001:db8::2:1")).toEqual([200, 429]);
    expect(await statuses(1, "/v1/products", "2001:db8:0:1::1")).toEqual([200]);
    const trusting = gateway({ RATE_LIMIT_PER_ADDRESS: "1", TRUSTED_PROXIES: "10.0.0.0/8" });
    const from = (client: string) => ({ "x-forwarded-for": `203.0.113.${Math.random()}, ${client}` });
    expect(await trusting.statuses(3, "/v1/products", "10.0.0.1", from("192.0.2.1"))).toEqual([
      200, 200, 429,
    ]);
    expect(await trusting.statuses(1, "/v1/products", "10.0.0.1", from("192.0.2.2"))).toEqual([200]);
    expect(await trusting.statuses(3, "/v1/products", "192.0.2.9", from("192.0.2.3"))).toEqual([
      200, 200, 429,
    ]);
    expect(await trusting.statuses(1, "/v1/products", "192.0.2.9", from("192.0.2.4"))).toEqual([429]);
  });

  test("has 10 a second in production, and no limit elsewhere or with 0", async () => {
    const key = { MALL_MASTER_KEY: "f3X9qLmZ7vT2wRk8YbN4sHc6JdPa5EgU" };
    const policy = async (env: Record<string, string>) =>
      (await gateway(env).ask("/v1/products")).headers.get("ratelimit-policy");
    expect(await policy({ MALL_ENV: "production", ...key })).toBe('"address";q=20;w=2');
    expect(await policy({ MALL_ENV: "production", RATE_LIMIT_PER_ADDRESS: "0", ...key })).toBeNull();
    for (const MALL_ENV of ["dev", "test"]) expect(await policy({ MALL_ENV })).toBeNull();
  });

  test("of a provider has a limit of its own, wide enough for its messages", async () => {
    const { statuses } = gateway({ RATE_LIMIT_PER_ADDRESS: "1" });
    const send = (path: string, count: number) => statuses(count, path, "192.0.2.1", {}, "POST");
    expect(await send("/webhooks/payments/stripe", 150)).toEqual(times(150, 200));
    expect(await send("/_events/user", 150)).toContain(429);
  });
});

describe("logins and purchases", () => {
  test("are limited more than the rest, as the contract says of each RPC", async () => {
    const { ask, statuses } = gateway({ RATE_LIMIT_PER_ADDRESS: "1000" });
    expect(await statuses(11, login, "192.0.2.1", {}, "POST")).toEqual([...times(10, 200), 429]);
    const refused = await ask(login, "192.0.2.1", {}, "POST");
    expect([refused.headers.get("retry-after"), refused.headers.get("ratelimit-policy")]).toEqual([
      "2",
      '"address";q=2000;w=2, "login";q=10;w=20',
    ]);
    const register = await ask("/mall.auth.v1.AuthService/Register", "192.0.2.1", {}, "POST");
    expect([register.status, ((await register.json()) as { code: string }).code]).toEqual([
      429,
      "resource_exhausted",
    ]);
    expect(await statuses(11, "/v1/checkouts", "192.0.2.1", {}, "POST")).toEqual([...times(10, 200), 429]);
    expect(await statuses(20, "/v1/products")).toEqual(times(20, 200));
    expect((await ask(login, "192.0.2.2", {}, "POST")).status).toBe(200);
  });
});

describe("a user", () => {
  const signedAs = async (id: string, key?: typeof privateKey) => ({
    authorization: `Bearer ${await tokenOf(id, key)}`,
  });
  const anywhere = () => `198.51.100.${Math.floor(Math.random() * 256)}`;

  test("is limited wherever the requests come from", async () => {
    const { ask, statuses } = gateway({ RATE_LIMIT_PER_ADDRESS: "1000" });
    const mine = await signedAs(userId(1));
    const first = await ask("/v1/me", anywhere(), mine);
    expect(first.headers.get("ratelimit-policy")).toBe('"address";q=2000;w=2, "user";q=20;w=2');
    const again = await signedAs(userId(1));
    const seen = [];
    for (let i = 0; i < 60; i++) seen.push((await ask("/v1/me", anywhere(), i % 2 ? mine : again)).status);
    expect(seen.slice(0, 19)).toEqual(times(19, 200));
    expect(seen).toContain(429);
    expect(await statuses(1, "/v1/me", anywhere(), await signedAs(userId(2)))).toEqual([200]);
  });

  test("cannot be kept out by others who write their name", async () => {
    const { ask } = gateway({ RATE_LIMIT_PER_ADDRESS: "1000" });
    const { privateKey: foreign } = await generateKeyPair("EdDSA");
    const forged = await signedAs(userId(1), foreign);
    for (let i = 0; i < 40; i++) await ask("/v1/me", anywhere(), forged);
    expect((await ask("/v1/me", anywhere(), await signedAs(userId(1)))).status).toBe(200);
  });

  test("buys so often and no more, from wherever", async () => {
    const { ask } = gateway({ RATE_LIMIT_PER_ADDRESS: "1000" });
    const mine = await signedAs(userId(1));
    const seen = [];
    for (let i = 0; i < 12; i++) seen.push((await ask("/v1/checkouts", `192.0.2.${i}`, mine, "POST")).status);
    expect(seen.slice(0, 10)).toEqual(times(10, 200));
    expect(seen.slice(10)).toContain(429);
  });

  test("is a machine's key as well", async () => {
    const { ask } = gateway({ RATE_LIMIT_PER_ADDRESS: "1000" });
    const of = (key: string) => ({ authorization: `Bearer mk_${key}` });
    const seen = [];
    for (let i = 0; i < 30; i++) seen.push((await ask("/v1/me", anywhere(), of("a"))).status);
    expect(seen).toContain(429);
    expect((await ask("/v1/me", anywhere(), of("b"))).status).toBe(200);
  });
});

describe("a refusal is understood by clients of", () => {
  const ends: (() => unknown)[] = [];
  afterAll(() => Promise.all(ends.map((end) => end())));

  /** What a client library makes of the third request of two. */
  async function third(call: () => Promise<unknown>) {
    await call();
    await call();
    const error = ConnectError.from(await call().catch((thrown) => thrown));
    const { metadata: header, code } = error;
    return [Code[code], faultInfo(error)?.reason, header.get("retry-after"), header.get("ratelimit")];
  }
  const expected = ["ResourceExhausted", "RATE_LIMITED", "1", '"address";r=0;t=2'];

  test("gRPC-Web", async () => {
    const { fetch } = gateway({ RATE_LIMIT_PER_ADDRESS: "1" });
    const transport = createTransport({
      baseUrl: "http://mall",
      httpClient: createFetchClient(((url: string, init: RequestInit) =>
        fetch(new Request(url, init), "192.0.2.1").then(async (answer) =>
          answer.headers.has("grpc-status") ? answer : emptyGrpcWeb(),
        )) as typeof globalThis.fetch),
      useBinaryFormat: true,
      ...{ interceptors: [], acceptCompression: [], sendCompression: null, compressMinBytes: 1e9 },
      ...{ readMaxBytes: 1e6, writeMaxBytes: 1e6 },
    });
    const client = createClient(ProductService, transport);
    expect(await third(() => client.listProducts({}))).toEqual(expected);
  });

  test("gRPC", async () => {
    const { fetch, grpcRoutes } = gateway({ RATE_LIMIT_PER_ADDRESS: "1" });
    const [port] = (await freePorts(1)) as [number];
    const server = await serveGrpc(grpcRoutes, fetch, port, "127.0.0.1");
    ends.push(() => server.stop());
    const client = createClient(AuthService, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
    let header = new Headers();
    await client.login({}, { onHeader: (sent) => (header = sent) });
    expect(header.get("ratelimit-policy")).toBe('"address";q=2;w=2, "login";q=10;w=20');
    await client.login({});
    const refused = ConnectError.from(await client.login({}).catch((error) => error));
    const { metadata: told } = refused;
    expect([
      Code[refused.code],
      faultInfo(refused)?.reason,
      told.get("retry-after"),
      told.get("ratelimit"),
    ]).toEqual([...expected.slice(0, 3), '"address";r=0;t=2, "login";r=7;t=6']);
  });
});

/** A gRPC-Web answer of one empty message. */
function emptyGrpcWeb(): Response {
  const trailer = new TextEncoder().encode("grpc-status: 0\r\n");
  const bytes = new Uint8Array([0, 0, 0, 0, 0, 128, 0, 0, 0, trailer.length, ...trailer]);
  return new Response(bytes, { headers: { "content-type": "application/grpc-web+proto" } });
}
