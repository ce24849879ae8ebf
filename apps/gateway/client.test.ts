import { expect, test } from "bun:test";
import { create, type DescMethodUnary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { serveGrpc } from "@mall/kernel/host/bun";
import { serviceTokens } from "@mall/kernel/identity/service-token";
import type { Registry } from "@mall/kernel/registry/port";
import { freePorts } from "@mall/kernel/testing/ports";
import { createBunGateway } from "./bun";

const MALL_MASTER_KEY = "test-master-key-test-master-key-0123456789";
const seen: { service: string; headers: Headers }[] = [];
const registry = {
  fetch: (service: string) => async (request: Request) => {
    seen.push({ service, headers: request.headers });
    return Response.json({});
  },
  transport: (service: string) => ({
    unary: async (method: DescMethodUnary, _signal: unknown, _timeoutMs: unknown, header: Headers) => {
      seen.push({ service, headers: header });
      return { header: new Headers(), message: create(method.output) };
    },
  }),
} as unknown as Registry;
const env = { MALL_ENV: "test", LOG_LEVEL: "silent", MALL_MASTER_KEY };
const gateway = createBunGateway({ env, registry, docsAsset: async () => undefined });

const claims = {
  "x-client-address": "198.51.100.7",
  "x-client-device": "forged",
  "x-forwarded-for": "198.51.100.7",
  "x-real-ip": "198.51.100.7",
  forwarded: "for=198.51.100.7",
  "user-agent": "Lynx/2.9",
};

async function passedOn(path: string, address?: string, method = "GET") {
  const request = new Request(`http://mall${path}`, { method, headers: claims });
  expect((await gateway.fetch(request, address)).status).toBe(200);
  const { service, headers } = seen.at(-1)!;
  return { service, headers, client: [headers.get("x-client-address"), headers.get("x-client-device")] };
}

test("a service is told the address of the connection, whatever the client says about itself", async () => {
  for (const path of ["/v1/me", "/mall.user.v1.UserService/GetMe"]) {
    const { headers, client } = await passedOn(path, "::ffff:192.0.2.1");
    expect(client).toEqual(["192.0.2.1", "Lynx/2.9"]);
    const tokens = serviceTokens(MALL_MASTER_KEY, "user", () => new Date());
    expect(await tokens.callerOf(headers.get("x-service-token")!, "/mall.cart.v1.CartService/GetCart")).toBe(
      "gateway",
    );
  }
  expect((await passedOn("/v1/me")).client).toEqual([null, "Lynx/2.9"]);
});

test("a service is not told of one client what it answers to many", async () => {
  expect((await passedOn("/v1/products", "192.0.2.1")).client).toEqual([null, null]);
});

test("gRPC tells the same: the connection's address and the gateway's own token", async () => {
  const [port] = (await freePorts(1)) as [number];
  const server = await serveGrpc(gateway.grpcRoutes, gateway.fetch, port, "127.0.0.1");
  try {
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` });
    const forged = { ...claims, "x-service-token": "forged" };
    await createClient(ProductService, transport).listProducts({}, { headers: forged });
  } finally {
    await server.stop();
  }
  const { service, headers } = seen.at(-1)!;
  expect([service, headers.get("x-client-address"), headers.get("x-client-device")]).toEqual([
    "product",
    "127.0.0.1",
    "Lynx/2.9",
  ]);
  const tokens = serviceTokens(MALL_MASTER_KEY, "product", () => new Date());
  expect(await tokens.callerOf(headers.get("x-service-token")!, "/mall.cart.v1.CartService/GetCart")).toBe(
    "gateway",
  );
});

test("no header that claims an identity passes the edge, whatever its form, and all others do", async () => {
  const claimed = [
    ...["X-User-Id", "x-user-roles", "x-user", "x-roles", "x-auth-request-user", "x-authenticated-user"],
    ...[
      "x-forwarded-user",
      "X-FORWARDED-FOR",
      "forwarded",
      "x-real-ip",
      "remote-user",
      "x-remote-user",
      "cookie",
    ],
    ...[
      "x-forwarded-client-cert",
      "x-ssl-client-verify",
      "x-spiffe-id",
      "x-peer",
      "x-service",
      "x-service-name",
    ],
    ...["x-client-cert", "x-internal", "x-mall-actor", "cf-access-jwt-assertion", "x-amzn-oidc-identity"],
  ];
  const others = {
    ...{ authorization: "Bearer x", "idempotency-key": "k", "x-cart-secret": "c", "x-order-secret": "o" },
    ...{
      "x-user-agent": "grpc-web",
      "x-grpc-web": "1",
      traceparent: "t",
      "content-type": "application/json",
    },
  };
  const headers = { ...others, ...Object.fromEntries(claimed.map((name) => [name, "checkout"])) };
  for (const path of ["/v1/carts", "/mall.cart.v1.CartService/CreateCart", "/webhooks/payments/stripe"]) {
    const body = "{}";
    const response = await gateway.fetch(
      new Request(`http://mall${path}`, { method: "POST", headers, body }),
    );
    expect(response.status).toBe(200);
    const passed = Object.fromEntries(seen.at(-1)!.headers);
    expect(passed).toMatchObject(others);
    expect(claimed.filter((name) => passed[name.toLowerCase()] !== undefined)).toEqual([]);
  }
});

test("what a provider sends is passed on without an address, claimed or true", async () => {
  for (const path of ["/webhooks/payments/stripe", "/_events/user"]) {
    const { headers, client } = await passedOn(path, "192.0.2.1", "POST");
    expect([...client, headers.get("x-service-token")]).toEqual([null, null, null]);
  }
});
