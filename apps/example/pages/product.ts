import type { Variant } from "@mall/gen/mall/product/v1/product_pb";
import { html } from "lit-html";
import { type Page, submitting } from "../app";
import { addToCart, products } from "../shop";
import { picture, price } from "../view";

const isSoldOut = (variant: Variant) => variant.trackInventory && variant.available === 0;

function stockOf(variant: Variant): string {
  if (!variant.trackInventory) return "available";
  if (isSoldOut(variant)) return "sold out";
  return variant.available! <= 5 ? `only ${variant.available} left` : "in stock";
}

const choice = (variant: Variant, isChosen: boolean) => html`
  <label class="choice">
    <input
      type="radio"
      name="variant"
      value=${variant.id}
      required
      ?checked=${isChosen}
      ?disabled=${isSoldOut(variant)}
    />
    <span>
      ${variant.options.map(({ value }) => value).join(", ") || "Standard"},
      <span class="price">${price(variant.price)}</span>, ${stockOf(variant)}
    </span>
  </label>
`;

/** One product with its variants. */
export const product: Page = async (productId) => {
  const found = (await products.getProduct({ productId })).product!;
  const chosen = found.variants.find((variant) => !isSoldOut(variant));
  const add = submitting(async (fields) => {
    await addToCart(String(fields.get("variant")), Number(fields.get("quantity")));
    return `${found.title} is in your cart.`;
  });
  const body = html`
    <div class="split">
      <div class="panel">${picture(found)}</div>
      <div>
        <p class="quiet">${found.vendor}</p>
        <p>${found.description}</p>
        <form @submit=${add}>
          <fieldset>
            <legend>Choose one</legend>
            ${found.variants.map((variant) => choice(variant, variant === chosen))}
          </fieldset>
          <div class="buttons">
            <label>Quantity <input name="quantity" type="number" min="1" max="999" value="1" required /></label>
            ${
              chosen
                ? html`<button>Add to cart</button> <a href="#/cart">Go to cart</a>`
                : html`<p class="price">Sold out</p>`
            }
          </div>
        </form>
      </div>
    </div>
  `;
  return { title: found.title, body };
};
