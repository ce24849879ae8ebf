import { type Fault, faultOf } from "@mall/client/fault";
import type { Line } from "@mall/gen/mall/common/v1/line_pb";
import type { Money } from "@mall/gen/mall/common/v1/money_pb";
import { OrderState } from "@mall/gen/mall/order/v1/order_pb";
import type { Product } from "@mall/gen/mall/product/v1/product_pb";
import { html, nothing, type TemplateResult } from "lit-html";

/** An amount as people read it. */
export function price(money: Money | undefined): string {
  if (!money) return "";
  const format = new Intl.NumberFormat("en", { style: "currency", currency: money.currency });
  return format.format(Number(money.minor) / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

/** A tile with the product's first letter, under its picture when that can be loaded. */
export function picture({ title, media }: Product): TemplateResult {
  const hue = [...title].reduce((sum, letter) => (sum * 47 + letter.charCodeAt(0)) % 360, 7);
  const [image] = media;
  const drop = (event: Event) => (event.target as HTMLElement).remove();
  return html`<div class="picture" style="--hue: ${hue}">
    <span aria-hidden="true">${title[0]}</span>
    ${image ? html`<img src=${image.url} alt=${image.alt} loading="lazy" @error=${drop} />` : nothing}
  </div>`;
}

interface Sums {
  subtotal?: Money;
  discountTotal?: Money;
  shippingTotal?: Money;
  taxTotal?: Money;
  total?: Money;
}

/** Lines and sums of a quote or an order. */
export function receipt(items: readonly Line[], sums: Sums): TemplateResult {
  const row = (name: string, money: Money | undefined) =>
    money && html`<tr><th scope="row" colspan="2">${name}</th><td class="amount">${price(money)}</td></tr>`;
  return html`<table>
    <thead>
      <tr><th scope="col">Item</th><th scope="col">Quantity</th><th scope="col" class="amount">Price</th></tr>
    </thead>
    <tbody>
      ${items.map(
        ({ title, quantity, total }) =>
          html`<tr><td>${title}</td><td>${quantity}</td><td class="amount">${price(total)}</td></tr>`,
      )}
    </tbody>
    <tfoot>
      ${sums.discountTotal?.minor ? row("Discount, subtracted", sums.discountTotal) : nothing}
      ${row("Shipping", sums.shippingTotal)} ${row("Tax", sums.taxTotal)}
      <tr><th scope="row" colspan="2">Total</th><td class="amount price">${price(sums.total)}</td></tr>
    </tfoot>
  </table>`;
}

/** A labelled input. */
export const field = (
  label: string,
  name: string,
  autocomplete: string,
  more: Partial<HTMLInputElement> = {},
) =>
  html`<label>
    ${label}
    <input
      name=${name}
      type=${more.type ?? "text"}
      autocomplete=${autocomplete}
      value=${more.value ?? ""}
      minlength=${more.minLength ?? nothing}
      maxlength=${more.maxLength ?? nothing}
      ?required=${more.required ?? true}
    />
  </label>`;

const states: Partial<Record<OrderState, string>> = {
  [OrderState.PENDING_PAYMENT]: "Waiting for payment",
  [OrderState.PAID]: "Paid",
  [OrderState.SHIPPED]: "Shipped",
  [OrderState.DELIVERED]: "Delivered",
  [OrderState.COMPLETED]: "Completed",
  [OrderState.CANCELLED]: "Cancelled",
  [OrderState.REFUNDED]: "Refunded",
};

/** The state of an order in words. */
export const stateOf = (state: OrderState): string => states[state] ?? "Unknown";

const sentences: Partial<Record<Fault["reason"], string>> = {
  NO_ANSWER: "The shop cannot be reached. Please try again.",
  TIMEOUT: "The shop takes too long. Please try again.",
  INTERNAL: "Something went wrong in the shop.",
  UNAUTHENTICATED: "Please sign in again.",
  INVALID_CREDENTIALS: "The e-mail address or the password is wrong.",
  EMAIL_TAKEN: "This e-mail address has an account already.",
  CART_LOCKED: "Your cart is being paid for at the moment.",
};

/** What a person should know about an error; bugs of the page go to the console as well. */
export function sentenceOf(error: unknown): string {
  const fault = faultOf(error);
  if (!fault) {
    console.error(error);
    return "Something went wrong on this page.";
  }
  return sentences[fault.reason] ?? fault.message;
}
