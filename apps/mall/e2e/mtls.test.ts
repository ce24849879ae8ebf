import { describe, expect, test } from "bun:test";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { forwardScope, rpcScope } from "@mall/kernel/identity/service-token";
import type { CallerName, ServiceName } from "@mall/kernel/topology";
import { serviceToken } from "./access-callers";
import { host } from "./host";
import { isMutual } from "./network";
import { inStock, rest } from "./shop";

/** Sends a request to a service with one caller's certificate and another's token. Returns the status. */
async function call(service: ServiceName, peer: CallerName, token: CallerName | undefined, path: string) {
  const { network, services } = await host();
  const headers = new Headers();
  const scope = token === "gateway" ? forwardScope : rpcScope(ProductService.method.listProducts);
  if (token) headers.set("x-service-token", await serviceToken(token, service, scope));
  return (await network!.send(peer, service, new Request(services![service] + path, { headers }))).status;
}

/** Guests who make carts and fill them, until it is stopped: each request passes three processes. */
function shopping() {
  let isOver = false;
  let requests = 0;
  const failures: string[] = [];
  const shoppers = Array.from({ length: 4 }, async () => {
    const variantId = (await inStock()).id;
    while (!isOver) {
      const { body, status } = await rest<{ cart: { id: string }; cartSecret: string }>(
        "POST",
        "/v1/carts",
        {},
      );
      const items = `/v1/carts/${body.cart?.id}/items`;
      const options = { cartSecret: body.cartSecret };
      const added = await rest("POST", items, { variantId, quantity: 1 }, options);
      requests += 2;
      for (const answer of [status, added.status]) if (answer > 201) failures.push(String(answer));
    }
  });
  return async () => {
    isOver = true;
    await Promise.all(shoppers);
    return { requests, failures };
  };
}

const python = async () =>
  (await Bun.$`/usr/bin/python3 -c "import grpc, google.protobuf"`.quiet().nothrow()).exitCode === 0;

describe.skipIf(!isMutual)("between the processes of a mall with mutual TLS", () => {
  test("the port without TLS has probes and nothing else", async () => {
    const { port } = (await host()).ports!.product;
    const statusOf = async (path: string, init: RequestInit = {}) =>
      (await fetch(`http://127.0.0.1:${port}${path}`, init)).status;
    expect(await statusOf("/livez")).toBe(200);
    // a process that has just started may still be asking for the policy
    for (let tries = 0; tries < 40 && (await statusOf("/readyz")) !== 200; tries++) await Bun.sleep(250);
    expect(await statusOf("/readyz")).toBe(200);
    const headers = {
      "x-service-token": await serviceToken(
        "checkout",
        "product",
        rpcScope(ProductService.method.listProducts),
      ),
      "content-type": "application/json",
    };
    const rpc = { method: "POST", headers, body: "{}" };
    expect(await statusOf("/mall.product.v1.ProductService/ListProducts", rpc)).toBe(404);
    expect(await statusOf("/v1/products", { headers })).toBe(404);
    expect(await statusOf("/events", rpc)).toBe(404);
    expect(await statusOf("/openapi.json")).toBe(404);
  });

  test("a caller is believed by its certificate and its token together", async () => {
    const path = "/v1/products?pageSize=1";
    expect(await call("product", "checkout", "checkout", path)).toBe(200);
    expect(await call("product", "gateway", "gateway", path)).toBe(200);
    expect(await call("product", "checkout", undefined, path)).toBe(401);
    expect(await call("product", "checkout", "gateway", path)).toBe(401);
    expect(await call("product", "payment", "checkout", path)).toBe(401);
  });

  test("certificates and the authority change while people shop, and nobody notices", async () => {
    const { certificates } = (await host()).network!;
    const folder = certificates!;
    const names = folder.names();
    // all of them look at their files every second
    const seen = () => Bun.sleep(2_500);
    const stop = shopping();
    for (const name of names) await folder.issue(name, 1, new Date());
    await seen();
    await folder.addAuthority("e2e.mall", new Date());
    await seen();
    for (const name of names) await folder.issue(name, 1, new Date());
    await seen();
    folder.trustNewest();
    await seen();
    const { requests, failures } = await stop();
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(100);
    expect(folder.authorities()).toEqual([2]);
  });

  test("gRPC passes, too: the C core from Python", async () => {
    if (!(await python()))
      return console.warn("SKIPPED: python3-grpcio is not installed, gRPC over mutual TLS was not tried");
    const { ports, network } = await host();
    const target = `127.0.0.1:${ports!.product.grpcPort}`;
    const SERVICE_TOKEN = await serviceToken("gateway", "product", forwardScope);
    const run = await Bun.$`/usr/bin/python3 -B infra/legs/grpc_mtls.py ${target} spiffe://e2e.mall/product`
      .env({ ...process.env, ...network!.envOf("gateway"), SERVICE_TOKEN, GRPC_VERBOSITY: "NONE" })
      .quiet()
      .nothrow();
    expect(run.stderr.toString()).toBe("");
    expect(run.stdout.toString().split("\n")).toEqual([
      "without a token UNAUTHENTICATED",
      "without a certificate UNAVAILABLE",
      "expecting another service UNAVAILABLE",
      "",
    ]);
  });
});
