import { expect, test } from "bun:test";
import { connect } from "node:http2";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { addressKey } from "../rpc/context";
import { freePorts } from "../testing/ports";
import { serveGrpc, serveHttp } from "./bun";

const loopback = "127.0.0.1";

/** A request that is no RPC on the port of gRPC. */
async function overHttp2(url: string): Promise<void> {
  const session = connect(url);
  const stream = session.request({ ":path": "/v1/products" });
  await new Promise((resolve, reject) => stream.on("response", resolve).on("error", reject));
  session.close();
}

test("each port tells the address of a request's connection", async () => {
  const addresses: (string | undefined)[] = [];
  const answer = async (_: Request, address?: string) => {
    addresses.push(address);
    return new Response("ok");
  };
  const [grpcPort] = (await freePorts(1)) as [number];
  const http = serveHttp(answer, 0, loopback);
  const grpc = await serveGrpc(
    (router) =>
      router.rpc(ProductService.method.listProducts, (_, { values }) => {
        addresses.push(values.get(addressKey));
        return {};
      }),
    answer,
    grpcPort,
    loopback,
  );
  try {
    await fetch(`http://${loopback}:${http.port}/`);
    expect(addresses).toEqual([loopback]);
    const transport = createGrpcTransport({ baseUrl: `http://${loopback}:${grpcPort}` });
    await createClient(ProductService, transport).listProducts({});
    await overHttp2(`http://${loopback}:${grpcPort}`);
    expect(addresses).toEqual([loopback, loopback, loopback]);
  } finally {
    await grpc.stop();
    await http.stop(true);
  }
});
