import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { type Order, OrderState } from "@mall/gen/mall/order/v1/order_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";

/** The smallest storefront: buys the first product that has stock, as a guest, with the generated client. */
export async function buySomething(mallUrl: string, useBinaryFormat: boolean): Promise<Order> {
  let cartSecret: string | undefined;
  const withSecret: Interceptor = (next) => (request) => {
    if (cartSecret) request.header.set("X-Cart-Secret", cartSecret);
    return next(request);
  };
  const transport = createConnectTransport({ baseUrl: mallUrl, useBinaryFormat, interceptors: [withSecret] });
  const { products } = await createClient(ProductService, transport).listProducts({ pageSize: 50 });
  const variant = products.flatMap((product) => product.variants).find((v) => (v.available ?? 0) > 20);
  if (!variant) throw new Error("nothing is in stock");
  const carts = createClient(CartService, transport);
  const created = await carts.createCart({});
  cartSecret = created.cartSecret;
  const cartId = created.cart!.id;
  await carts.addItem({ cartId, variantId: variant.id, quantity: 1 });
  const { order } = await createClient(CheckoutService, transport).placeOrder(
    {
      cartId,
      email: "ada@example.com",
      shippingAddress: {
        name: "Ada",
        line1: "1 Way",
        city: "Austin",
        region: "TX",
        postalCode: "78701",
        country: "US",
      },
      shippingOption: "standard",
      payment: { method: "fake", token: "tok_ok" },
    },
    { headers: { "Idempotency-Key": crypto.randomUUID() } },
  );
  return order!;
}

/** Runs a purchase and shows how it ended, for people and for the test. */
export async function show(mallUrl: string): Promise<void> {
  const output = document.querySelector("output")!;
  try {
    for (const binary of [false, true]) {
      const order = await buySomething(mallUrl, binary);
      output.textContent += `Order ${order.number}: ${OrderState[order.state]} (${binary ? "binary" : "JSON"}). `;
    }
    output.dataset.state = "done";
  } catch (error) {
    output.textContent = String(error);
    output.dataset.state = "failed";
  }
}

document.querySelector("button")?.addEventListener("click", () => {
  const mallUrl = new URLSearchParams(location.search).get("mall") ?? "http://localhost:8080";
  void show(mallUrl);
});
