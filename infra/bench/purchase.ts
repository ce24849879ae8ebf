const json = { "content-type": "application/json" };

async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { ...json, ...headers },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${JSON.stringify(answer)}`);
  return answer;
}

export interface FilledCart {
  cartId: string;
  secret: string;
}

/** A guest's cart with one unit of a variant. */
export async function fillCart(mall: string, variantId: string): Promise<FilledCart> {
  const made = (await post(`${mall}/v1/carts`, {})) as { cart: { id: string }; cartSecret: string };
  const { id } = made.cart;
  await post(
    `${mall}/v1/carts/${id}/items`,
    { variantId, quantity: 1 },
    { "x-cart-secret": made.cartSecret },
  );
  return { cartId: id, secret: made.cartSecret };
}

/** Buys a cart; throws unless the order is paid. */
export async function checkout(mall: string, { cartId, secret }: FilledCart): Promise<void> {
  const shippingAddress = {
    name: "Ada",
    line1: "1 Way",
    city: "Austin",
    region: "TX",
    postalCode: "78701",
    country: "US",
  };
  const payment = { method: "fake", token: "tok_ok" };
  const body = { cartId, email: "ada@example.com", shippingAddress, shippingOption: "standard", payment };
  const placed = (await post(`${mall}/v1/checkouts`, body, {
    "x-cart-secret": secret,
    "idempotency-key": crypto.randomUUID(),
  })) as { order: { state: string } };
  if (placed.order.state !== "ORDER_STATE_PAID") throw new Error("the order is not paid");
}
