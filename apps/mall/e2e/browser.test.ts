import { afterEach, beforeAll, expect, test } from "bun:test";
import { openShop, type Shop } from "./browser";
import { hasChromium } from "./chromium";
import { newAdmin } from "./command";
import { host, hostKind } from "./host";
import { type Cart, guestWith, inStock, newUser, type Product, placeOrder, rest } from "./shop";

beforeAll(() => host());

const open: Shop[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ context }) => context.close()));
});

/** A test in Chromium; without Chromium it says that it did nothing. */
function inChromium(name: string, work: (shop: Shop) => Promise<void>) {
  test(`${name}, in Chromium (${hostKind})`, async () => {
    if (!hasChromium) return console.warn(`SKIPPED: Chromium is not installed, not tried: ${name}`);
    const shop = await openShop();
    open.push(shop);
    await work(shop);
    expect(shop.errors).toEqual([]);
  });
}

type Tab = Shop["tab"];
const main = (tab: Tab) => tab.getByRole("main");
const status = (tab: Tab) => tab.getByRole("status");
const alert = (tab: Tab) => tab.getByRole("alert");
const press = (tab: Tab, name: string | RegExp) => main(tab).getByRole("button", { name }).click();
const titled = (tab: Tab, name: string | RegExp) => tab.getByRole("heading", { level: 1, name }).waitFor();

/** Looks a product up, chooses a variant of it and puts it into the cart. */
async function collect(tab: Tab, title: string, variant: RegExp, quantity = 1): Promise<void> {
  await tab.getByRole("link", { name: "EdgeMall", exact: true }).click();
  await tab.getByLabel("Search").fill(title);
  await press(tab, "Search");
  await main(tab).getByRole("link", { name: title }).first().click();
  await titled(tab, title);
  await tab.getByRole("radio", { name: variant }).check();
  await tab.getByLabel("Quantity").fill(String(quantity));
  await press(tab, "Add to cart");
  await status(tab).getByText("is in your cart").waitFor();
}

/** From the cart to where one pays. */
async function fillAddress(tab: Tab): Promise<void> {
  await tab.getByRole("link", { name: "Cart", exact: true }).click();
  await tab.getByRole("link", { name: "Check out" }).click();
  await titled(tab, "Where shall it go?");
  const address = { "E-mail": "ada@example.com", "Full name": "Ada", "Street and number": "1 Way" };
  const place = { City: "Austin", "State or region": "TX", "Postal code": "78701" };
  for (const [label, value] of Object.entries({ ...address, ...place }))
    await tab.getByLabel(label).fill(value);
  await press(tab, "Continue to payment");
  await titled(tab, "Pay");
}

async function payWith(tab: Tab, card: string): Promise<void> {
  await tab.getByRole("radio", { name: card }).check();
  await press(tab, /^Pay \$/);
}

const paid = (tab: Tab) => main(tab).getByText("State: Paid").waitFor();

/** Requests of a tab's browser whose path ends so, from now on. */
function requestsTo({ context }: Shop, path: string) {
  const headers: Record<string, string>[] = [];
  context.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith(path)) headers.push(request.headers());
  });
  return headers;
}

/** Lets the mall carry out the first such request and loses its answer. */
async function loseFirstAnswer(tab: Tab, path: string, method: string): Promise<void> {
  let lost = 0;
  await tab.route(path, async (route) => {
    if (route.request().method() !== method || lost++ > 0) return route.continue();
    await route.fetch();
    await route.abort("connectionreset");
  });
}

inChromium("a guest finds a variant, changes the cart, buys and sees the order again", async ({ tab }) => {
  await collect(tab, "Trail Mug", /Slate Blue/, 2);
  await tab.getByRole("link", { name: "Go to cart" }).click();
  await tab.getByLabel(/^Quantity of/).fill("3");
  await press(tab, "Update");
  await status(tab).getByText("Your cart has changed").waitFor();
  expect(
    await main(tab)
      .getByRole("row", { name: /Total without/ })
      .textContent(),
  ).toContain("$54.00");
  await fillAddress(tab);
  await payWith(tab, "Test card that is accepted");
  await paid(tab);
  expect(await status(tab).textContent()).toBe("Thank you for your order.");
  expect(
    await main(tab)
      .getByRole("row", { name: /Slate Blue/ })
      .textContent(),
  ).toContain("$54.00");
  await tab.reload();
  await paid(tab);
  await tab.getByRole("link", { name: "Cart", exact: true }).click();
  await main(tab).getByText("It is empty").waitFor();
});

inChromium("a declined card charges nothing and leaves room for another one", async (shop) => {
  const { tab } = shop;
  await collect(tab, "Trail Mug", /Moss Green/);
  await fillAddress(tab);
  const orders = requestsTo(shop, "/PlaceOrder");
  await payWith(tab, "Test card that is declined");
  await status(tab).getByText("Your card was declined. Nothing was charged").waitFor();
  await payWith(tab, "Test card that is accepted");
  await paid(tab);
  const keys = orders.map((headers) => headers["idempotency-key"]);
  expect([keys.length, new Set(keys).size]).toEqual([2, 2]);
});

inChromium("what was sold out meanwhile is not charged, and is shown as sold out", async ({ tab, url }) => {
  const title = `Kite ${crypto.randomUUID().slice(0, 8)}`;
  const csv = [
    "Handle,Title,Type,Published,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price",
    `${title.toLowerCase().replace(" ", "-")},${title},Toys,true,${title.replace(" ", "-")},shopify,1,12.00`,
  ].join("\n");
  await rest("POST", "/v1/products/import", { csv, setStock: true }, await newAdmin());
  await collect(tab, title, /only 1 left/);
  await fillAddress(tab);
  const { body } = await rest<{ products: Product[] }>("GET", `/v1/products?q=${encodeURIComponent(title)}`);
  const [product] = body.products;
  const rival = await guestWith(product!.variants[0]!);
  expect((await placeOrder(rival)).status).toBe(201);
  await payWith(tab, "Test card that is accepted");
  await status(tab).getByText(`${title} was sold out meanwhile. Nothing was charged.`).waitFor();
  await main(tab).getByText("Sold out: remove it to go on.").waitFor();
  await tab.goto(`${url}/#/products/${product!.id}`);
  await titled(tab, title);
  expect(await tab.getByRole("radio", { name: /sold out/ }).isDisabled()).toBe(true);
  expect(await main(tab).getByRole("button", { name: "Add to cart" }).count()).toBe(0);
});

inChromium("who signs in finds both carts in one, and signs out", async ({ tab }) => {
  const user = await newUser();
  const { body } = await rest<{ products: Product[] }>("GET", "/v1/products?q=trail%20mug");
  const mug = body.products[0]!.variants.find(({ title }) => title.includes("Oat"))!;
  const made = await rest<{ cart: Cart }>("POST", "/v1/carts", {}, user);
  const line = { variantId: mug.id, quantity: 2 };
  await rest("POST", `/v1/carts/${made.body.cart.id}/items`, line, user);
  await collect(tab, "Trail Mug", /Oat/, 1);
  await collect(tab, "Trail Mug", /Slate Blue/, 1);
  await tab.getByRole("link", { name: "Account" }).click();
  const door = tab.getByRole("form", { name: "Sign in" });
  await door.getByLabel("E-mail").fill(user.email);
  await door.getByLabel("Password").fill("not the password");
  await door.getByRole("button").click();
  await alert(tab).getByText("The e-mail address or the password is wrong.").waitFor();
  await door.getByLabel("Password").fill(user.password);
  await door.getByRole("button").click();
  await titled(tab, "Your cart");
  const quantities = tab.getByLabel(/^Quantity of/);
  const lines = await quantities.evaluateAll((inputs) =>
    inputs.map((input) => [input.ariaLabel, (input as HTMLInputElement).value]),
  );
  expect(lines.map(([, quantity]) => quantity).sort()).toEqual(["1", "3"]);
  expect(lines.find(([label]) => label?.includes("Oat"))?.[1]).toBe("3");
  await tab.getByRole("link", { name: "Account" }).click();
  await press(tab, "Sign out");
  await status(tab).getByText("You are signed out.").waitFor();
  await tab.getByRole("form", { name: "Sign in" }).waitFor();
});

inChromium("an answer that gets lost on the way is asked for again with the same key", async (shop) => {
  const { tab } = shop;
  await collect(tab, "Trail Mug", /Moss Green/);
  await fillAddress(tab);
  const orders = requestsTo(shop, "/PlaceOrder");
  await loseFirstAnswer(tab, "**/PlaceOrder", "POST");
  await payWith(tab, "Test card that is accepted");
  await paid(tab);
  const keys = orders.map((headers) => headers["idempotency-key"]);
  expect([keys.length, new Set(keys).size]).toEqual([2, 1]);
});

inChromium("a bank that answers late ends as paid, without another click", async ({ tab }) => {
  await collect(tab, "Trail Mug", /Moss Green/);
  await fillAddress(tab);
  await payWith(tab, "Test card whose bank answers late");
  await paid(tab);
});

inChromium("tabs whose token has run out renew it once, together", async (shop) => {
  const { tab, context, url } = shop;
  await tab.getByRole("link", { name: "Account" }).click();
  const door = tab.getByRole("form", { name: "Create an account" });
  await door.getByLabel("Name").fill("Ada");
  await door.getByLabel("E-mail").fill(`tabs-${crypto.randomUUID()}@example.com`);
  await door.getByLabel("Password").fill("correct horse battery staple");
  await door.getByRole("button").click();
  await status(tab).getByText("You are signed in.").waitFor();
  await context.clock.setFixedTime(Date.now() + 16 * 60_000);
  const refreshes = requestsTo(shop, "/v1/auth/refresh");
  const tabs = await Promise.all([1, 2, 3, 4].map(() => context.newPage()));
  await Promise.all(tabs.map((other) => other.goto(`${url}/#/account`)));
  await Promise.all(tabs.map((other) => other.getByText("Your orders").waitFor()));
  expect(refreshes).toHaveLength(1);
});

inChromium(
  "the documentation page sends requests, also of one who is signed in, and shows their answers",
  async ({ tab }) => {
    await tab.goto(`${(await host()).url}/docs`);
    const tried = async (operationId: string, status: string) => {
      const operation = tab.locator(`[id$=-${operationId}]`).first();
      const execute = operation.getByRole("button", { name: "Execute" });
      if (!(await execute.isVisible())) await operation.getByRole("button").first().click();
      await execute.click();
      const answer = operation.locator(".live-responses-table");
      await answer.getByText(status, { exact: true }).waitFor();
      return answer.textContent();
    };
    expect(await tried("ListProducts", "200")).toContain('"nextPageToken"');
    const user = await newUser();
    await tab.locator(".scheme-container").getByRole("button", { name: "Authorize" }).click();
    const bearer = tab.locator(".auth-container").filter({ hasText: "bearer" });
    await bearer.getByRole("textbox").fill(user.token);
    await bearer.getByRole("button", { name: "Apply credentials" }).click();
    await bearer.getByRole("button", { name: "Close" }).click();
    expect(await tried("GetMe", "200")).toContain(user.email);
  },
);

inChromium("the REST client sends a body again whose answer got lost", async ({ tab }) => {
  const mug = await inStock();
  const { cartId, cartSecret } = await guestWith(mug);
  const entry = `${import.meta.dir}/page.ts`;
  const program = `import { answerOf, mallRest } from "@mall/client/rest";
    globalThis.setQuantity = (url, secrets, path, quantity) =>
      answerOf(mallRest({ url, secrets: () => secrets })
        .PATCH("/v1/carts/{cartId}/items/{variantId}", { params: { path }, body: { quantity } }));`;
  const built = await Bun.build({
    ...{ entrypoints: [entry], files: { [entry]: program }, target: "browser", format: "iife" },
  });
  await tab.evaluate(await built.outputs[0]!.text());
  await loseFirstAnswer(tab, "**/items/*", "PATCH");
  const args = [(await host()).url, { cartSecret }, { cartId, variantId: mug.id }, 4];
  const answer = await tab.evaluate(`setQuantity(...${JSON.stringify(args)})`);
  expect((answer as { cart: Cart }).cart.items[0]!.quantity).toBe(4);
});
