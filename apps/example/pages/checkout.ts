import type { MessageInitShape } from "@bufbuild/protobuf";
import { faultOf } from "@mall/client/fault";
import { operation } from "@mall/client/operation";
import type { Cart } from "@mall/gen/mall/cart/v1/cart_pb";
import type { Quote } from "@mall/gen/mall/checkout/v1/checkout_pb";
import type { AddressSchema } from "@mall/gen/mall/common/v1/address_pb";
import { html } from "lit-html";
import { go, type Page, submitting } from "../app";
import { bought, checkouts, currentCart } from "../shop";
import { field, price, receipt } from "../view";

/** What a purchase needs but the payment. */
interface Request {
  cartId: string;
  email: string;
  shippingAddress: MessageInitShape<typeof AddressSchema>;
  shippingOption: string;
}

/** What the customer has entered, while the page is open. */
let draft: { request: Request; quote: Quote } | undefined;

/** One purchase: while its outcome is unknown, paying again is the same purchase again. */
const paying = operation();

const cards = {
  tok_ok: "Test card that is accepted",
  tok_declined: "Test card that is declined",
  tok_lost: "Test card whose bank answers late",
};

const textOf = (fields: FormData, name: string) => String(fields.get(name) ?? "").trim();

/** Asks what the cart costs; remembers it for the second step. */
async function quote(request: Request): Promise<void> {
  const { cartId, shippingAddress, shippingOption } = request;
  const answer = await checkouts.quoteCheckout({ cartId, shippingAddress, shippingOption });
  draft = { request, quote: answer.quote! };
}

const addressForm = (cartId: string) => {
  const next = submitting(async (fields) => {
    const text = (name: string) => textOf(fields, name);
    const shippingAddress = {
      name: text("name"),
      line1: text("line1"),
      city: text("city"),
      region: text("region"),
      postalCode: text("postalCode"),
      country: text("country").toUpperCase(),
    };
    await quote({ cartId, email: text("email"), shippingAddress, shippingOption: "standard" });
  });
  return html`<form class="panel" @submit=${next}>
    <div class="fields">
      ${field("E-mail", "email", "email", { type: "email", maxLength: 254 })}
      ${field("Full name", "name", "name", { maxLength: 200 })}
      ${field("Street and number", "line1", "address-line1", { maxLength: 200 })}
      ${field("City", "city", "address-level2", { maxLength: 100 })}
      ${field("State or region", "region", "address-level1", { maxLength: 100, required: false })}
      ${field("Postal code", "postalCode", "postal-code", { maxLength: 20 })}
      ${field("Country code", "country", "country", { minLength: 2, maxLength: 2, value: "US" })}
    </div>
    <button>Continue to payment</button>
  </form>`;
};

/** What the customer should know and do after a purchase that was refused. Throws what is no such refusal. */
async function afterRefusal(error: unknown, cart: Cart): Promise<string> {
  const fault = faultOf<"PlaceOrder">(error);
  switch (fault?.reason) {
    case "PAYMENT_DECLINED":
      return "Your card was declined. Nothing was charged: try another card.";
    case "OUT_OF_STOCK": {
      const line = cart.items.find(({ variantId }) => variantId === fault.metadata.variantId);
      draft = undefined;
      go("#/cart", `${line?.title ?? "An item"} was sold out meanwhile. Nothing was charged.`);
      return "";
    }
    case "PRICE_CHANGED":
      await quote(draft!.request);
      return "A price has changed. Look at the new total before you pay.";
    case "NO_ANSWER":
    case "TIMEOUT":
      return "We do not know yet whether your order came through. Pay again: you will not be charged twice.";
    default:
      throw error;
  }
}

const paymentForm = (cart: Cart) => {
  const { request, quote: quoted } = draft!;
  const pay = submitting(async (fields) => {
    const payment = { method: "fake", token: textOf(fields, "card") };
    const order = { ...request, payment, expectedTotal: quoted.total };
    try {
      const answer = await paying((options) => checkouts.placeOrder(order, options));
      draft = undefined;
      go(`#/orders/${bought(answer)}`, "Thank you for your order.");
    } catch (error) {
      return afterRefusal(error, cart);
    }
  });
  const ship = submitting(async (fields) => {
    await quote({ ...request, shippingOption: textOf(fields, "shipping") });
  });
  return html`
    <form class="panel" @submit=${ship}>
      <fieldset>
        <legend>Shipping</legend>
        ${quoted.shippingOptions.map(
          ({ code, title, price: cost }) => html`<label class="choice">
            <input type="radio" name="shipping" value=${code} ?checked=${code === request.shippingOption} />
            ${title}, ${price(cost)}
          </label>`,
        )}
      </fieldset>
      <button class="plain">Change shipping</button>
    </form>
    <div class="panel">${receipt(quoted.items, quoted)}</div>
    <form class="panel" @submit=${pay}>
      <fieldset>
        <legend>Pay with</legend>
        ${Object.entries(cards).map(
          ([token, title], index) => html`<label class="choice">
            <input type="radio" name="card" value=${token} ?checked=${index === 0} /> ${title}
          </label>`,
        )}
      </fieldset>
      <button>Pay ${price(quoted.total)}</button>
    </form>
  `;
};

/** Where to ship, then what it costs and how to pay. */
export const checkout: Page = async () => {
  const cart = await currentCart();
  if (!cart?.items.length)
    return { title: "Check out", body: html`<p>Your cart is empty. <a href="#/">Find something</a></p>` };
  if (draft?.request.cartId !== cart.id) draft = undefined;
  return draft
    ? { title: "Pay", body: paymentForm(cart) }
    : { title: "Where shall it go?", body: addressForm(cart.id) };
};
