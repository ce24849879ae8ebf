import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { OrderService } from "@mall/gen/mall/order/v1/order_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { eventScope, rpcScope } from "@mall/kernel/identity/service-token";
import {
  accessKind,
  forgeries,
  misstatements,
  type Sign,
  serviceKind,
  takenApart,
} from "@mall/kernel/testing/forgery";
import { refusal } from "@mall/kernel/testing/refusal";
import { accessPair, type Inside, inside, type Pair, servicePair, serviceToken } from "./access-callers";
import { host, hostKind } from "./host";
import { isMutual } from "./network";
import { newUser } from "./shop";
import { send, surfaces } from "./surfaces";

/*
 * Every trick with a token that there is (apps/_kernel/testing/forgery.ts) against the mall as it runs. A token that is
 * wrong in any way is 401 UNAUTHENTICATED, everywhere and also where no token is needed, and never an error of the mall.
 */

const nowSeconds = () => Math.floor(Date.now() / 1000);
const { listOrders } = OrderService.method;
const { listProducts } = ProductService.method;

/** How a door answered. */
type Knock = (token: string) => Promise<string>;

/** Tricks that a door answered otherwise than it must. */
async function unexpected(tricks: Record<string, string>, wanted: string, knock: Knock): Promise<string[]> {
  const found: string[] = [];
  for (const [name, token] of Object.entries(tricks)) {
    const met = await knock(token);
    if (met !== wanted) found.push(`${name}: ${met}`);
  }
  return found;
}

/** Everything that can be tried with a genuine token, by those without its key and by those who have it. */
const tricksWith = async (token: string, kind: typeof accessKind, pair: Pair, otherKids: string[]) => ({
  ...forgeries({ token, publicJwk: pair.publicJwk, otherKids }),
  ...(await misstatements(token, kind, pair.sign, nowSeconds())),
});

/** A genuine token with claims that nobody has to know. */
const signedAnew = (sign: Sign, token: string): Promise<string> => {
  const { header, claims } = takenApart(token);
  return sign(header, { ...claims, more: 1 });
};

describe(`a user's token (${hostKind})`, () => {
  let token: string;
  let pair: Pair;
  let tricks: Record<string, string>;
  beforeAll(async () => {
    ({ token } = await newUser());
    pair = await accessPair();
    const service = await serviceToken("checkout", "order", rpcScope(listOrders));
    tricks = {
      ...(await tricksWith(token, accessKind, pair, ["checkout", "gateway", "mall"])),
      "a service token": service,
    };
  });

  for (const surface of surfaces) {
    const knock =
      (method: typeof listOrders | typeof listProducts): Knock =>
      async (given) => {
        const { status, code, reason } = await send(surface, method, {}, { token: given });
        return `${surface === "rest" ? status : code} ${reason}`.trim();
      };
    const [good, refused] =
      surface === "rest" ? ["200", "401 UNAUTHENTICATED"] : ["ok", "unauthenticated UNAUTHENTICATED"];

    test(`is accepted over ${surface}, also when these tests make it`, async () => {
      expect(await knock(listOrders)(token)).toBe(good!);
      expect(await knock(listOrders)(await signedAnew(pair.sign, token))).toBe(good!);
    });

    test(`that is wrong in any way is refused over ${surface}, also where none is needed`, async () => {
      expect(Object.keys(tricks).length).toBeGreaterThan(100);
      expect(await unexpected(tricks, refused!, knock(listOrders))).toEqual([]);
      expect(await unexpected(tricks, refused!, knock(listProducts))).toEqual([]);
    });
  }
});

describe(`a service's token (${hostKind})`, () => {
  let mall: Inside;
  beforeAll(async () => {
    mall = await inside();
  });
  afterAll(() => mall.close());

  const get = (path: string) => async (given: string) => {
    const headers = { "x-service-token": given };
    const response = await mall.sendAs("product", path, { headers }, "cart");
    return `${response.status} ${response.ok ? "" : ((await response.json()) as { reason: string }).reason}`.trim();
  };
  const sender = { product: "cart", order: "payment" } as const;
  const post = (service: "product" | "order", path: string, type: string) => async (given: string) => {
    const headers = { "content-type": type, "x-service-token": given };
    const init = { method: "POST", headers, body: "{}" };
    return String((await mall.sendAs(service, path, init, sender[service])).status);
  };
  const grpc: Knock = async (given) => {
    const baseUrl = `http://127.0.0.1:${(await host()).ports!.product.grpcPort}`;
    const client = createClient(ProductService, createGrpcTransport({ baseUrl }));
    const { reason } = await refusal(client.listProducts({}, { headers: { "x-service-token": given } }));
    return reason ?? "200";
  };
  const scope = rpcScope(listProducts);
  const doors = {
    REST: { scope, knock: get("/v1/products"), good: "200", refused: "401 UNAUTHENTICATED" },
    Connect: { scope, knock: post("product", scope, "application/json"), good: "200", refused: "401" },
    // by mutual TLS a stranger has no connection for it
    ...(hostKind === "many" && !isMutual
      ? { gRPC: { scope, knock: grpc, good: "200", refused: "UNAUTHENTICATED" } }
      : {}),
  };

  test.each(Object.entries(doors))(
    "that is wrong in any way is refused over %s, also where none is needed",
    async (_, door) => {
      const token = await serviceToken("cart", "product", door.scope);
      const pair = await servicePair("cart");
      expect(await door.knock(token)).toBe(door.good);
      expect(await door.knock(await signedAnew(pair.sign, token))).toBe(door.good);
      const tricks = await tricksWith(token, serviceKind, pair, ["gateway", "checkout", "product"]);
      const { header, claims } = takenApart(token);
      const more = {
        "a user's token": (await newUser()).token,
        "for another RPC": await serviceToken(
          "cart",
          "product",
          "/mall.product.v1.ProductService/GetProduct",
        ),
        "for events": await serviceToken("cart", "product", eventScope),
        "for another service": await serviceToken("cart", "order" as never, door.scope),
        "in the gateway's name": await pair.sign(header, { ...claims, iss: "gateway", scope: "forward" }),
      };
      expect(await unexpected({ ...tricks, ...more }, door.refused, door.knock)).toEqual([]);
    },
  );

  test("that is wrong in any way delivers no event", async () => {
    const knock = post("order", "/events", "application/cloudevents+json");
    const token = await serviceToken("payment", "order", eventScope);
    // the event itself is nonsense, which is looked at after its sender
    expect(await knock(token)).toBe("400");
    const tricks = await tricksWith(token, serviceKind, await servicePair("payment"), ["checkout", "order"]);
    const call = await serviceToken("checkout", "order", "/mall.order.v1.OrderService/CreateOrder");
    const forwarding = await serviceToken("gateway", "order", "forward");
    expect(await unexpected({ ...tricks, call, forwarding }, "401", knock)).toEqual([]);
  });

  test("means nothing at the gateway", async () => {
    const path = `${(await host()).url}/mall.auth.v1.AuthService/GetAccount`;
    const token = await serviceToken("user", "auth", "/mall.auth.v1.AuthService/GetAccount");
    const headers = { "content-type": "application/json", "x-service-token": token };
    expect((await fetch(path, { method: "POST", headers, body: "{}" })).status).toBe(404);
  });
});
