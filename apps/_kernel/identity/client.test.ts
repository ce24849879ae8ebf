import { expect, test } from "bun:test";
import { createContextValues, createHandlerContext, type Transport } from "@connectrpc/connect";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { policyCopy } from "../policy/policy";
import type { Registry } from "../registry/port";
import { clientOf } from "../rpc/client";
import { currentRequest, requestKey } from "../rpc/context";
import { requestGate } from "../rpc/gate";
import { remoteClient } from "./client";
import { forwardScope, rpcScope, serviceTokens } from "./service-token";

const master = "test-master-key-test-master-key-0123456789";
const clock = () => new Date("2026-01-01T00:00:00Z");
const tokensOf = (caller: "gateway" | "cart" | "product") => serviceTokens(master, caller, clock);
const told = { "x-client-address": "192.0.2.1", "x-client-device": "Lynx/2.9" };
const client = { address: "192.0.2.1", device: "Lynx/2.9" };

/** What the gate of the product service makes of headers. */
async function admitted(headers: Record<string, string>) {
  const method = ProductService.method.listProducts;
  const context = createHandlerContext({
    service: ProductService,
    method,
    protocolName: "test",
    requestMethod: "POST",
    url: "http://product/",
    requestHeader: new Headers(headers),
    contextValues: createContextValues(),
  });
  const serviceTokens = tokensOf("product");
  const verifyApiKey = () => Promise.reject(new Error("no machine"));
  const verifyAccessToken = () => Promise.reject(new Error("nobody signed in"));
  const audit = { refused: async () => {} };
  await requestGate({
    verifyAccessToken,
    verifyApiKey,
    serviceTokens,
    policy: policyCopy,
    follow: () => {},
    clock,
    audit,
  })(context);
  return context.values.get(requestKey);
}

test("a client's address and device are believed beside a service token, and only there", async () => {
  const token = await tokensOf("gateway").tokenFor("product", forwardScope);
  expect((await admitted({ ...told, "x-service-token": token })).client).toEqual(client);
  expect((await admitted(told)).client).toEqual({});
  const forged = await serviceTokens("another master key of at least 32 chars", "gateway", clock).tokenFor(
    "product",
    forwardScope,
  );
  await expect(admitted({ ...told, "x-service-token": forged })).rejects.toThrow("not valid");
});

test("the gateway is no actor: what it brings is its client's request", async () => {
  const actorBy = async (caller: "gateway" | "cart") =>
    (
      await admitted({
        "x-service-token": await tokensOf(caller).tokenFor(
          "product",
          caller === "gateway" ? forwardScope : rpcScope(ProductService.method.listProducts),
        ),
      })
    ).actor.service;
  expect(await actorBy("gateway")).toBeUndefined();
  expect(await actorBy("cart")).toBe("cart");
});

test("a service tells its neighbour of the client, and only of the one it serves", async () => {
  const seen: Headers[] = [];
  const unary: Transport["unary"] = async (_m, _s, _t, header) => {
    seen.push(new Headers(header));
    throw new Error("enough");
  };
  const registry = { transport: () => ({ unary }) } as unknown as Registry;
  const product = clientOf(ProductService, registry, tokensOf("cart"), clock);
  await currentRequest.run({ actor: {}, client, requestId: "1" }, () =>
    product.listProducts({}, { headers: { "x-client-address": "198.51.100.7" } }).catch(() => {}),
  );
  await currentRequest.run({ actor: {}, client: {}, requestId: "2" }, () =>
    product.listProducts({}, { headers: told }).catch(() => {}),
  );
  expect(seen.map((header) => [header.get("x-client-address"), header.get("x-client-device")])).toEqual([
    [client.address, client.device],
    [null, null],
  ]);
});

test("an address has one form, a device no control characters and at most 200 characters", () => {
  expect(remoteClient("::ffff:192.0.2.1", null)).toEqual({ address: "192.0.2.1", device: undefined });
  expect(remoteClient("2001:DB8::1", " a\tb\u0085c ").address).toBe("2001:db8::1");
  expect(remoteClient(undefined, " a\tb\u0085c ")).toEqual({ address: undefined, device: "abc" });
  expect(remoteClient("", "x".repeat(300)).device).toHaveLength(200);
  expect(remoteClient("", " \t")).toEqual({ address: undefined, device: undefined });
});
