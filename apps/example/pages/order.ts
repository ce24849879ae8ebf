import { OrderState } from "@mall/gen/mall/order/v1/order_pb";
import { html, nothing } from "lit-html";
import { type Page, refresh } from "../app";
import { orderOf } from "../shop";
import { receipt, stateOf } from "../view";

const lookAgainMs = 1_000;

/** What was bought, and what became of it. */
export const order: Page = async (orderId) => {
  const found = await orderOf(orderId);
  const isWaiting = found.state === OrderState.PENDING_PAYMENT;
  const here = location.hash;
  if (isWaiting) setTimeout(() => location.hash === here && void refresh(), lookAgainMs);
  const { name, line1, city, region, postalCode, country } = found.shippingAddress!;
  const body = html`
    <div class="panel">
      <p>State: <strong id="state">${stateOf(found.state)}</strong></p>
      ${isWaiting ? html`<p>Your bank has not answered yet. This page looks again by itself.</p>` : nothing}
      ${receipt(found.items, found)}
    </div>
    <div class="panel">
      <h2>Ships to</h2>
      <p>${name}, ${line1}, ${city} ${region} ${postalCode}, ${country}</p>
    </div>
  `;
  return { title: `Order ${found.number}`, body };
};
