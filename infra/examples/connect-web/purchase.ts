/*
 * A guest buys from a page, by Connect-Web and the generated messages alone: bun infra/examples/connect-web/index.html
 * The page's address may name the mall: ?mall=http://localhost:8080. What a shop needs beside (sessions, repetitions,
 * keys) is in @mall/client.
 */
import { type CallOptions, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { OrderState } from "@mall/gen/mall/order/v1/order_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";

const baseUrl = new URLSearchParams(location.search).get("mall") ?? "http://localhost:8080";
const transport = createConnectTransport({ baseUrl, defaultTimeoutMs: 30_000 });
const catalogue = createClient(ProductService, transport);
const carts = createClient(CartService, transport);
const checkouts = createClient(CheckoutService, transport);

async function buy(): Promise<string> {
  const { products } = await catalogue.listProducts({ q: "trail mug" });
  const variant = products.flatMap(({ variants }) => variants).find(({ available }) => (available ?? 0) > 0);
  if (!variant) return "There is no mug left.";
  const { cart, cartSecret } = await carts.createCart({});
  const own: CallOptions = { headers: { "x-cart-secret": cartSecret! } };
  await carts.addItem({ cartId: cart!.id, variantId: variant.id, quantity: 1 }, own);
  const place = { city: "Austin", region: "TX", postalCode: "78701", country: "US" };
  const ask = {
    cartId: cart!.id,
    email: "ada@example.com",
    shippingAddress: { name: "Ada", line1: "1 Way", ...place },
    shippingOption: "standard",
    payment: { method: "fake", token: "tok_ok" },
  };
  const headers = { ...own.headers, "idempotency-key": crypto.randomUUID() };
  const { order } = await checkouts.placeOrder(ask, { headers });
  const total = `${order!.total!.minor} ${order!.total!.currency}`;
  return `${order!.number} ORDER_STATE_${OrderState[order!.state]} ${total}`;
}

const output = document.querySelector("output")!;
document.querySelector("button")!.addEventListener("click", () => {
  buy().then(
    (text) => {
      output.textContent = text;
    },
    (error) => {
      output.textContent = ConnectError.from(error).message;
    },
  );
});
