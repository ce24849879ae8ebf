import { createClient } from "@connectrpc/connect";
import { mallTransport } from "@mall/client/connect";
import { faultOf } from "@mall/client/fault";
import { browserStore, createSession } from "@mall/client/session";
import { AuthService, type Tokens } from "@mall/gen/mall/auth/v1/auth_pb";
import { type Cart, CartService, CartState } from "@mall/gen/mall/cart/v1/cart_pb";
import { CheckoutService, type PlaceOrderResponse } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { OrderService } from "@mall/gen/mall/order/v1/order_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";

/** Origin of the mall, decided when the page is built: its tokens never go anywhere else. */
const url = import.meta.env.VITE_MALL_URL ?? "http://localhost:8080";

/** Something small that this browser remembers under a name. */
function remembered<T>(name: string) {
  return {
    get: (): T | undefined => JSON.parse(localStorage.getItem(name) ?? "null") ?? undefined,
    set: (value: T | undefined) =>
      value === undefined ? localStorage.removeItem(name) : localStorage.setItem(name, JSON.stringify(value)),
  };
}

const guestCart = remembered<{ id: string; secret: string }>("shop-cart");
const orderSecrets = remembered<Record<string, string>>("shop-orders");

export const session = createSession({ url, store: browserStore("shop-session") });
const transport = mallTransport({
  url,
  session,
  secrets: () => ({ cartSecret: guestCart.get()?.secret }),
});
const auth = createClient(AuthService, transport);
const orders = createClient(OrderService, transport);

export const products = createClient(ProductService, transport);
export const carts = createClient(CartService, transport);
export const checkouts = createClient(CheckoutService, transport);

/** The cart of whoever is here; undefined when there is none yet, or none any more. */
export async function currentCart(): Promise<Cart | undefined> {
  const guest = guestCart.get();
  if (!guest && !(await session.isSignedIn())) return undefined;
  try {
    const { cart } = guest ? await carts.getCart({ cartId: guest.id }) : await carts.getMyCart({});
    if (cart?.state === CartState.OPEN || cart?.state === CartState.LOCKED) return cart;
  } catch (error) {
    if (faultOf(error)?.reason !== "CART_NOT_FOUND") throw error;
  }
  guestCart.set(undefined);
  return undefined;
}

async function cartId(): Promise<string> {
  const guest = guestCart.get();
  if (guest) return guest.id;
  const { cart, cartSecret } = await carts.createCart({});
  if (cartSecret) guestCart.set({ id: cart!.id, secret: cartSecret });
  return cart!.id;
}

/** Puts units into the cart, into a new one when the last was bought. */
export async function addToCart(variantId: string, quantity: number): Promise<void> {
  try {
    await carts.addItem({ cartId: await cartId(), variantId, quantity });
  } catch (error) {
    const reason = faultOf<"AddItem">(error)?.reason;
    if (reason !== "CART_CONVERTED" && reason !== "CART_NOT_FOUND") throw error;
    guestCart.set(undefined);
    await carts.addItem({ cartId: await cartId(), variantId, quantity });
  }
}

/** Takes the tokens of an answer and merges what the guest has collected into the user's cart. */
async function enter(tokens: Tokens | undefined): Promise<void> {
  await session.signIn(tokens!);
  const guest = guestCart.get();
  if (!guest) return;
  try {
    await carts.claimCart({ cartId: guest.id });
  } catch (error) {
    const reason = faultOf<"ClaimCart">(error)?.reason;
    if (reason !== "CART_CONVERTED" && reason !== "CART_NOT_FOUND") throw error;
  }
  guestCart.set(undefined);
}

export const login = async (email: string, password: string): Promise<void> =>
  enter((await auth.login({ email, password })).tokens);

export const register = async (email: string, password: string, displayName: string): Promise<void> =>
  enter((await auth.register({ email, password, displayName })).tokens);

/** Remembers what opens a guest's order and that the cart was bought. Returns the order's id. */
export function bought({ checkout, order, orderSecret }: PlaceOrderResponse): string {
  guestCart.set(undefined);
  const id = order?.id ?? checkout!.orderId;
  if (orderSecret) orderSecrets.set({ ...orderSecrets.get(), [id]: orderSecret });
  return id;
}

/** An order of the signed-in user, or one that was bought in this browser. */
export async function orderOf(orderId: string) {
  const secret = orderSecrets.get()?.[orderId];
  const headers = secret ? { "X-Order-Secret": secret } : undefined;
  return (await orders.getOrder({ orderId }, { headers })).order!;
}

export const myOrders = async () => (await orders.listOrders({ pageSize: 20 })).orders;
