import { type CartItem, ItemIssue } from "@mall/gen/mall/cart/v1/cart_pb";
import { html, nothing } from "lit-html";
import { type Page, submitting } from "../app";
import { carts, currentCart } from "../shop";
import { price } from "../view";

const issues: Partial<Record<ItemIssue, string>> = {
  [ItemIssue.OUT_OF_STOCK]: "Sold out: remove it to go on.",
  [ItemIssue.INSUFFICIENT_STOCK]: "There are fewer left than you want.",
  [ItemIssue.UNAVAILABLE]: "No longer sold: remove it to go on.",
};

function line(cartId: string, { variantId, title, quantity, total, issue }: CartItem) {
  const change = submitting(async (fields) => {
    if (fields.has("remove")) await carts.removeItem({ cartId, variantId });
    else await carts.setItemQuantity({ cartId, variantId, quantity: Number(fields.get("quantity")) });
    return "Your cart has changed.";
  });
  return html`<tr>
    <td>
      ${title} ${issues[issue] ? html`<br /><strong>${issues[issue]}</strong>` : nothing}
    </td>
    <td>
      <form @submit=${change}>
        <input
          name="quantity"
          type="number"
          min="1"
          max="999"
          .value=${String(quantity)}
          aria-label="Quantity of ${title}"
          required
        />
        <button class="plain">Update</button>
        <button class="plain" name="remove" value="1" formnovalidate aria-label="Remove ${title}">Remove</button>
      </form>
    </td>
    <td class="amount">${price(total)}</td>
  </tr>`;
}

/** What was collected. */
export const cart: Page = async () => {
  const found = await currentCart();
  if (!found?.items.length)
    return { title: "Your cart", body: html`<p>It is empty. <a href="#/">Find something</a></p>` };
  const body = html`
    <div class="panel">
      <table>
        <thead>
          <tr><th scope="col">Item</th><th scope="col">Quantity</th><th scope="col" class="amount">Price</th></tr>
        </thead>
        <tbody>${found.items.map((item) => line(found.id, item))}</tbody>
        <tfoot>
          <tr>
            <th scope="row" colspan="2">Total without shipping and tax</th>
            <td class="amount price">${price(found.total)}</td>
          </tr>
        </tfoot>
      </table>
    </div>
    <a class="button" href="#/checkout">Check out</a>
  `;
  return { title: "Your cart", body };
};
