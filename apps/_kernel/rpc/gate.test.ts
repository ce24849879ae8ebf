import { describe, expect, test } from "bun:test";
import type { DescMethod } from "@bufbuild/protobuf";
import { createContextValues, createHandlerContext } from "@connectrpc/connect";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import type { Actor } from "../identity/actor";
import { rpcScope, serviceTokens } from "../identity/service-token";
import { type Policy, policyCopy } from "../policy/policy";
import { reasonOf } from "../testing/refusal";
import { requestKey } from "./context";
import { requestGate } from "./gate";

const master = "test-master-key-test-master-key-0123456789";
const clock = () => new Date("2026-01-01T00:00:00Z");
const userId = "usr_00000000000000000000000001";
const user: NonNullable<Actor["user"]> = {
  id: userId,
  roles: ["staff"],
  sessionId: "ses_1",
  tokenVersion: 1,
};
const apiKey: NonNullable<Actor["apiKey"]> = {
  id: "key_1",
  ownerId: userId,
  roles: ["staff"],
  scopes: ["stock.read"],
};

/** Sends a request through the gate of the product service. Returns who it was taken for. */
async function pass(method: DescMethod, headers: Record<string, string>, policy?: Policy): Promise<Actor> {
  const context = createHandlerContext({
    service: method.parent,
    method,
    protocolName: "test",
    requestMethod: "POST",
    url: "http://product/",
    requestHeader: new Headers(headers),
    contextValues: createContextValues(),
  });
  const gate = requestGate({
    follow: () => {},
    verifyAccessToken: async () => user,
    verifyApiKey: async () => apiKey,
    serviceTokens: serviceTokens(master, "product", clock),
    policy: () => policy,
    audit: { refused: async () => {} },
    clock,
  });
  await gate(context);
  return context.values.get(requestKey).actor;
}

const fromCheckout = async (method: DescMethod) => ({
  "x-service-token": await serviceTokens(master, "checkout", clock).tokenFor("product", rpcScope(method)),
});
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

const { listProducts } = ProductService.method;
const { getStock, reserveStock } = InventoryService.method;

describe("without a policy, which auth never told", () => {
  test("what everybody may read is served, and nothing else", async () => {
    expect(await reasonOf(pass(listProducts, {}))).toBe("");
    expect(await reasonOf(pass(CartService.method.createCart, {}))).toBe("AUTH_UNAVAILABLE");
    expect(await reasonOf(pass(getStock, bearer("token")))).toBe("AUTH_UNAVAILABLE");
  });

  test("services go on with each other", async () => {
    expect(await reasonOf(pass(reserveStock, await fromCheckout(reserveStock)))).toBe("");
  });
});

describe("with a policy", () => {
  const blocked: Policy = { ...policyCopy(), isBlocked: (id) => id === userId };

  test("a blocked user is refused where the request enters, and not on its way from service to service", async () => {
    expect(await reasonOf(pass(listProducts, bearer("token"), blocked))).toBe("USER_BLOCKED");
    expect(await reasonOf(pass(listProducts, bearer("mk_key"), blocked))).toBe("USER_BLOCKED");
    const inside = { ...(await fromCheckout(listProducts)), ...bearer("token") };
    expect(await reasonOf(pass(listProducts, inside, blocked))).toBe("");
  });

  test("a bearer is a user's token or a machine's key, never both", async () => {
    expect(await pass(getStock, bearer("token"), policyCopy())).toMatchObject({ user, apiKey: undefined });
    expect(await pass(getStock, bearer("mk_key"), policyCopy())).toMatchObject({ user: undefined, apiKey });
  });
});
