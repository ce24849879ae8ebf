import { beforeAll, describe, expect, test } from "bun:test";
import type { DescMethod, JsonObject } from "@bufbuild/protobuf";
import { contract } from "@mall/gateway/contract";
import type { IdPrefix } from "@mall/kernel/id";
import { expected, type OwnObject } from "./access-verdicts";
import { newApiKey, newUserWith } from "./command";
import { hostKind } from "./host";
import {
  address,
  type Cart,
  type Customer,
  guestWith,
  inStock,
  newKey,
  newUser,
  type Options,
  type Placed,
  placeOrder,
  purchase,
  rest,
  unknownId,
} from "./shop";
import { type Surface, send } from "./surfaces";

const nameOf = (method: DescMethod): string => `${method.parent.name}/${method.name}`;

/** Operations on what belongs to somebody. */
const owned = contract
  .flatMap((service) => service.methods)
  .flatMap((method) => {
    const object = expected[nameOf(method)]?.object;
    return object ? [{ name: nameOf(method), method, object }] : [];
  });

/** Whom the objects belong to, and their ids. */
interface World {
  ids: Record<OwnObject, string>;
  variantId: string;
  owners: Record<OwnObject, Options>;
}

const payment = { method: "fake", token: "tok_ok" };

/** Requests that get as far as asking whose the object is. */
const requests: Record<string, (id: string, variantId: string) => JsonObject> = {
  "ApiKeyService/RotateApiKey": (apiKeyId) => ({ apiKeyId, ttlDays: 1 }),
  "ApiKeyService/RevokeApiKey": (apiKeyId) => ({ apiKeyId }),
  "SessionService/RevokeSession": (sessionId) => ({ sessionId }),
  "AddressService/UpdateAddress": (addressId) => ({ addressId, isDefault: true }),
  "AddressService/DeleteAddress": (addressId) => ({ addressId }),
  "CartService/GetCart": (cartId) => ({ cartId }),
  "CartService/AddItem": (cartId, variantId) => ({ cartId, variantId, quantity: 1 }),
  "CartService/SetItemQuantity": (cartId, variantId) => ({ cartId, variantId, quantity: 2 }),
  "CartService/RemoveItem": (cartId, variantId) => ({ cartId, variantId }),
  "CartService/EmptyCart": (cartId) => ({ cartId }),
  "CartService/ClaimCart": (cartId) => ({ cartId }),
  "CartService/ApplyCoupon": (cartId) => ({ cartId, code: "NONE-SUCH" }),
  "CartService/RemoveCoupon": (cartId) => ({ cartId }),
  "CheckoutService/QuoteCheckout": (cartId) => ({ cartId, shippingAddress: address }),
  "CheckoutService/PlaceOrder": (cartId) => purchase(cartId, "tok_ok") as JsonObject,
  "CheckoutService/PayCheckout": (checkoutId) => ({ checkoutId, payment }),
  "CheckoutService/GetCheckout": (checkoutId) => ({ checkoutId }),
  "OrderService/GetOrder": (orderId) => ({ orderId }),
  "OrderService/ListOrderEvents": (orderId) => ({ orderId }),
  "OrderService/CancelOrder": (orderId) => ({ orderId }),
  "PaymentService/ListPayments": (orderId) => ({ orderId }),
};

/** A signed-in user with a cart of one line. */
async function shopper(variantId: string): Promise<Customer & { token: string }> {
  const { token } = await newUser();
  const { body } = await rest<{ cart: Cart }>("POST", "/v1/carts", {}, { token });
  await rest("POST", `/v1/carts/${body.cart.id}/items`, { variantId, quantity: 1 }, { token });
  return { token, cartId: body.cart.id };
}

async function newWorld(): Promise<World> {
  const { id: variantId } = await inStock();
  const [open, waiting, paid] = await Promise.all([1, 2, 3].map(() => shopper(variantId)));
  const unpaid = await rest<Placed>("POST", "/v1/checkouts", purchase(waiting!.cartId), {
    token: waiting!.token,
    key: newKey(),
  });
  const order = (await placeOrder(paid!)).body.order.id;
  const staff = await newUserWith("customer", "staff");
  const apiKey = (await newApiKey(staff, "stock.read")).id;
  const listed = await rest<{ sessions: { id: string }[] }>("GET", "/v1/me/sessions", undefined, staff);
  const kept = await rest<{ address: { id: string } }>("POST", "/v1/me/addresses", { address }, staff);
  return {
    ids: {
      cart: open!.cartId,
      checkout: unpaid.body.checkout.id,
      order,
      apiKey,
      address: kept.body.address.id,
      session: listed.body.sessions[0]!.id,
    },
    variantId,
    owners: { cart: open!, checkout: waiting!, order: paid!, apiKey: staff, address: staff, session: staff },
  };
}

/** What the owners see of their objects. */
async function seen({ ids, owners }: World): Promise<string[]> {
  const reads: [string, Options][] = [
    [`/v1/carts/${ids.cart}`, owners.cart],
    [`/v1/checkouts/${ids.checkout}`, owners.checkout],
    [`/v1/orders/${ids.order}`, owners.order],
    [`/v1/orders/${ids.order}/events`, owners.order],
    [`/v1/orders/${ids.order}/payments`, owners.order],
    ["/v1/api-keys", owners.apiKey],
    ["/v1/me/addresses", owners.address],
    ["/v1/me/sessions", owners.session],
  ];
  return Promise.all(
    reads.map(async ([path, options]) => {
      const { status, text } = await rest("GET", path, undefined, { token: options.token });
      // units that others bought meanwhile
      return `${status} ${text.replaceAll(/"available":\d+/g, "")}`;
    }),
  );
}

const requestId = crypto.randomUUID();
const prefixes: Record<OwnObject, IdPrefix> = {
  cart: "cart",
  checkout: "chk",
  order: "ord",
  apiKey: "key",
  address: "adr",
  session: "ses",
};

let world: World;
/** Everybody but the owners: somebody signed in, a guest, and guests with secrets of other objects. */
let strangers: Record<string, Options>;
beforeAll(async () => {
  world = await newWorld();
  const variant = { id: world.variantId } as Parameters<typeof guestWith>[0];
  const guest = await guestWith(variant);
  const bought = await placeOrder(await guestWith(variant));
  strangers = {
    "another user": { token: (await shopper(world.variantId)).token },
    "a guest": {},
    "a guest with other secrets": { cartSecret: guest.cartSecret, orderSecret: bought.body.orderSecret },
  };
  expect(bought.body.orderSecret).toBeString();
});

describe(`what belongs to somebody (${hostKind})`, () => {
  test("has a request for each operation that asks whose it is", () => {
    expect(Object.keys(requests).sort()).toEqual(owned.map(({ name }) => name).sort());
  });

  test("is for its owner", async () => {
    const answers = await seen(world);
    expect(answers.map((answer) => answer.slice(0, 5))).toEqual(answers.map(() => "200 {"));
    expect(answers[4]).toContain("pay_");
    expect(answers[5]).toContain(world.ids.apiKey);
    expect(answers[6]).toContain(world.ids.address);
  });

  test("answers everybody else as if it did not exist, on every operation, and does not change", async () => {
    const before = await seen(world);
    const wrong: string[] = [];
    const ask = async (
      surface: Surface,
      method: DescMethod,
      id: string,
      options: Options,
    ): Promise<string> => {
      const message = requests[nameOf(method)]!(id, world.variantId);
      const headers = { "x-request-id": requestId };
      const { status, code, bytes } = await send(surface, method, message, {
        ...options,
        key: newKey(),
        headers,
      });
      return `${status} ${code} ${bytes.replaceAll(id, "<id>")}`;
    };
    for (const { name, method, object } of owned) {
      for (const [who, options] of Object.entries(strangers)) {
        for (const surface of ["rest", "connect"] as const) {
          const foreign = await ask(surface, method, world.ids[object], options);
          const unknown = await ask(surface, method, unknownId(prefixes[object]), options);
          if (foreign !== unknown)
            wrong.push(`${name} over ${surface} for ${who}: ${foreign}, not ${unknown}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(await seen(world)).toEqual(before);
  });
});
