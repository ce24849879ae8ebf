import { describe, expect, test } from "bun:test";
import type { CallerName, ServiceName } from "@mall/kernel/topology";
import { serviceToken } from "./access-callers";
import { host } from "./host";

/** Sends a request to a service with one caller's certificate and another's token. Returns the status. */
async function call(service: ServiceName, peer: CallerName, token: CallerName | undefined, path: string) {
  const { network, services } = await host();
  const headers = new Headers();
  if (token) headers.set("x-service-token", await serviceToken(token, service));
  return (await network!.send(peer, service, new Request(services![service] + path, { headers }))).status;
}

const python = async () =>
  (await Bun.$`/usr/bin/python3 -c "import grpc, google.protobuf"`.quiet().nothrow()).exitCode === 0;

describe.skipIf(process.env.MALL_MTLS !== "1")("between the processes of a mall with mutual TLS", () => {
  test("the port without TLS has probes and nothing else", async () => {
    const { port } = (await host()).ports!.product;
    const statusOf = async (path: string, init: RequestInit = {}) =>
      (await fetch(`http://127.0.0.1:${port}${path}`, init)).status;
    expect([await statusOf("/livez"), await statusOf("/readyz")]).toEqual([200, 200]);
    const headers = {
      "x-service-token": await serviceToken("checkout", "product"),
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
    expect(await call("product", "checkout", undefined, path)).toBe(401);
    expect(await call("product", "checkout", "gateway", path)).toBe(401);
    expect(await call("product", "payment", "checkout", path)).toBe(401);
  });

  test("gRPC passes, too: the C core from Python", async () => {
    if (!(await python()))
      return console.warn("SKIPPED: python3-grpcio is not installed, gRPC over mutual TLS was not tried");
    const { ports, network } = await host();
    const target = `127.0.0.1:${ports!.product.grpcPort}`;
    const SERVICE_TOKEN = await serviceToken("gateway", "product");
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
