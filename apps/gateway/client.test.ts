import { expect, test } from "bun:test";
import { serviceTokens } from "@mall/kernel/identity/service-token";
import type { Registry } from "@mall/kernel/registry/port";
import { createGateway } from "./service";

const MALL_MASTER_KEY = "test-master-key-test-master-key-0123456789";
const seen: { service: string; headers: Headers }[] = [];
const registry = {
  fetch: (service: string) => async (request: Request) => {
    seen.push({ service, headers: request.headers });
    return Response.json({});
  },
  transport: () => ({}),
} as unknown as Registry;
const env = { MALL_ENV: "test", LOG_LEVEL: "silent", MALL_MASTER_KEY };
const gateway = createGateway({ env, registry, docsAsset: async () => undefined });

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
  for (const path of ["/v1/products", "/mall.product.v1.ProductService/ListProducts"]) {
    const { headers, client } = await passedOn(path, "::ffff:192.0.2.1");
    expect(client).toEqual(["192.0.2.1", "Lynx/2.9"]);
    const tokens = serviceTokens(MALL_MASTER_KEY, "product", () => new Date());
    expect(await tokens.callerOf(headers.get("x-service-token")!)).toBe("gateway");
  }
  expect((await passedOn("/v1/products")).client).toEqual([null, "Lynx/2.9"]);
});

test("what a provider sends is passed on without an address, claimed or true", async () => {
  for (const path of ["/webhooks/payments/stripe", "/_events/user"]) {
    const { headers, client } = await passedOn(path, "192.0.2.1", "POST");
    expect([...client, headers.get("x-service-token")]).toEqual([null, null, null]);
  }
});
