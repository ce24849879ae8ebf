import type { Product } from "@mall/gen/mall/product/v1/product_pb";
import { html, nothing } from "lit-html";
import { go, type Page, submitting } from "../app";
import { products } from "../shop";
import { picture, price } from "../view";

const sorts = {
  newest: "Newest",
  price: "Price, low to high",
  "-price": "Price, high to low",
  title: "Name",
};

function card(product: Product) {
  const [cheapest] = product.variants.toSorted((a, b) => Number(a.price!.minor - b.price!.minor));
  return html`<li>
    <a class="card" href="#/products/${product.id}">
      ${picture(product)}
      <div>
        <h2>${product.title}</h2>
        <p class="quiet">${product.vendor}</p>
        <p class="quiet">
          ${product.variants.length > 1 ? "from " : nothing}<span class="price">${price(cheapest?.price)}</span>
        </p>
      </div>
    </a>
  </li>`;
}

/** Everything that is sold, by search words and in an order, a page at a time. */
export const catalogue: Page = async (_, query) => {
  const q = query.get("q") ?? "";
  const sort = query.get("sort") ?? "";
  const pageToken = query.get("page") ?? "";
  const found = await products.listProducts({ q, sort, pageToken, pageSize: 12 });
  const search = submitting(async (fields) => {
    const words = new URLSearchParams({ q: String(fields.get("q")), sort: String(fields.get("sort")) });
    go(`#/?${words}`);
  });
  const next = new URLSearchParams({ q, sort, page: found.nextPageToken });
  const body = html`
    <form class="search" role="search" @submit=${search}>
      <label>Search <input name="q" type="search" .value=${q} maxlength="200" /></label>
      <label>
        Sort by
        <select name="sort">
          ${Object.entries(sorts).map(
            ([value, title]) => html`<option value=${value} ?selected=${value === sort}>${title}</option>`,
          )}
        </select>
      </label>
      <button>Search</button>
    </form>
    ${found.products.length === 0 ? html`<p>Nothing fits these words.</p>` : nothing}
    <ul class="grid">${found.products.map(card)}</ul>
    ${found.nextPageToken ? html`<a class="button" href="#/?${next}">Next page</a>` : nothing}
  `;
  return { title: q ? `Found for “${q}”` : "All products", body };
};
