import { beforeAll, describe, expect, test } from "bun:test";
import {
  create,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  Client,
  credentials,
  Metadata,
  type Metadata as MetadataType,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { OrderService, OrderState } from "@mall/gen/mall/order/v1/order_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { host, hostKind } from "./host";
import { address, newKey } from "./shop";

/** gRPC over HTTP/2 with trailers, spoken by the grpc-js project's client. */
function caller(target: string) {
  const client = new Client(target, credentials.createInsecure());
  return {
    close: () => client.close(),
    call: <M extends DescMethodUnary>(
      method: M,
      message: MessageInitShape<M["input"]>,
      headers: Record<string, string> = {},
    ) =>
      new Promise<MessageShape<M["output"]>>((resolve, reject) => {
        const metadata: MetadataType = new Metadata();
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        client.makeUnaryRequest(
          `/${method.parent.typeName}/${method.name}`,
          (value: MessageShape<M["input"]>) => Buffer.from(toBinary(method.input, value)),
          (bytes: Buffer) => fromBinary(method.output, bytes) as MessageShape<M["output"]>,
          create(method.input, message) as MessageShape<M["input"]>,
          metadata,
          { deadline: Date.now() + 20_000 },
          (error, answer) => (error ? reject(error) : resolve(answer!)),
        );
      }),
  };
}

const python = async () =>
  (await Bun.$`/usr/bin/python3 -c "import grpc, google.protobuf"`.quiet().nothrow()).exitCode === 0;

describe.skipIf(hostKind === "edge")(`gRPC (${hostKind})`, () => {
  let target: string;
  beforeAll(async () => {
    target = (await host()).grpc!;
  });

  test("buys with grpc-js", async () => {
    const { call, close } = caller(target);
    const { products } = await call(ProductService.method.listProducts, { pageSize: 50 });
    const variant = products.flatMap((p) => p.variants).find((v) => (v.available ?? 0) > 20)!;
    const { cart, cartSecret } = await call(CartService.method.createCart, {});
    const headers = { "x-cart-secret": cartSecret!, "idempotency-key": newKey() };
    await call(CartService.method.addItem, { cartId: cart!.id, variantId: variant.id, quantity: 1 }, headers);
    const ask = {
      cartId: cart!.id,
      email: "ada@example.com",
      shippingAddress: address,
      shippingOption: "standard",
      payment: { method: "fake", token: "tok_ok" },
    };
    const placed = await call(CheckoutService.method.placeOrder, ask, headers);
    expect(placed.order?.state).toBe(OrderState.PAID);
    const replayed = await call(CheckoutService.method.placeOrder, ask, headers);
    expect(replayed).toEqual(placed);
    close();
  });

  test("refuses with code, message and details", async () => {
    const { call, close } = caller(target);
    const error = await call(OrderService.method.getOrder, {
      orderId: "ord_01jzzzzzzzzzzzzzzzzzzzzzzz",
    }).then(
      () => undefined,
      (e: ServiceError) => e,
    );
    expect(error?.code).toBe(status.NOT_FOUND);
    const details = error?.metadata.get("grpc-status-details-bin")[0] as Buffer;
    expect(details.toString("latin1")).toContain("ORDER_NOT_FOUND");
    const hidden = await call(OrderService.method.abandonOrder, {
      orderId: "ord_01jzzzzzzzzzzzzzzzzzzzzzzz",
      reason: "X",
    }).then(
      () => undefined,
      (e: ServiceError) => e,
    );
    expect([status.PERMISSION_DENIED, status.UNIMPLEMENTED]).toContain(hidden!.code);
    close();
  });

  test("buys with the gRPC C core from Python", async () => {
    if (!(await python()))
      return console.warn("SKIPPED: python3-grpcio is not installed, gRPC was not tried from Python");
    const run = await Bun.$`/usr/bin/python3 -B infra/legs/grpc_purchase.py ${target}`.quiet().nothrow();
    expect(run.stderr.toString()).toBe("");
    expect(run.stdout.toString()).toContain("PAID");
  });
});
