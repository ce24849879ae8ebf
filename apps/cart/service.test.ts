import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Cart, CartService, CartState, ItemIssue } from "@mall/gen/mall/cart/v1/cart_pb";
import { FaultInfoSchema } from "@mall/gen/mall/common/v1/fault_pb";
import { ProductService, type SoldVariantSchema } from "@mall/gen/mall/product/v1/product_pb";
import { derivedSecrets } from "@mall/kernel/crypto/derive";
import { codeName } from "@mall/kernel/fault";
import { uuidOf } from "@mall/kernel/id";
import { restStatus } from "@mall/kernel/problem";
import { type CountedDb, counted } from "@mall/kernel/testing/counted";
import { type As, type Harness, harness } from "@mall/kernel/testing/harness";
import { refusal } from "@mall/kernel/testing/refusal";
import { createCartService } from "./service";

const catalogue = new Map<string, MessageInitShape<typeof SoldVariantSchema>>();
/** Variants asked for, one entry a call. */
let asked: string[][] = [];
let productFails = false;
let sent: CountedDb;

let mall: Harness;
beforeAll(async () => {
  mall = await harness(
    "cart",
    (resources) => {
      sent = counted(resources.db);
      return createCartService({ ...resources, db: sent.db });
    },
    {
      neighbours: (router) =>
        router.service(ProductService, {
          batchGetVariants({ variantIds }) {
            asked.push(variantIds);
            if (productFails) throw new ConnectError("down", Code.Unavailable);
            return { variants: variantIds.flatMap((id) => catalogue.get(id) ?? []).reverse() };
          },
        }),
    },
  );
});
afterAll(() => mall.stop());
beforeEach(() => {
  asked = [];
  productFails = false;
});

const usd = (minor: bigint) => expect.objectContaining({ currency: "USD", minor });

interface Sold {
  minor?: bigint;
  available?: number;
  title?: string;
}

/** Puts a new variant on sale; without `available` its stock is not tracked. */
function sell({ minor = 1000n, available, title = "Default" }: Sold = {}): string {
  const id = mall.newId("var");
  catalogue.set(id, {
    productId: mall.newId("prod"),
    productTitle: "Mug",
    variant: {
      id,
      sku: `SKU-${id.slice(-5)}`,
      title,
      price: { currency: "USD", minor },
      trackInventory: available !== undefined,
      available,
    },
  });
  return id;
}

const cartClient = (as: As = {}) => mall.client(CartService, as);
const checkout = (as: As = {}) => cartClient({ ...as, service: "checkout" });

/** A new cart and who holds it. */
async function guestCart(): Promise<{ cartId: string; as: As }> {
  const { cart, cartSecret } = await cartClient().createCart({});
  return { cartId: cart!.id, as: { cartSecret } };
}

async function userCart(): Promise<{ cartId: string; as: As }> {
  const as = { user: { id: mall.newId("usr") } };
  const { cart } = await cartClient(as).createCart({});
  return { cartId: cart!.id, as };
}

const linesOf = (cart: Cart | undefined) => cart?.items.map((item) => [item.variantId, item.quantity]);

interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: bodies are looked at field by field
  body: any;
}

async function rest(
  verb: string,
  path: string,
  as: As = {},
  body?: unknown,
  more: HeadersInit = {},
): Promise<Answer> {
  const headers = await mall.headers(as);
  if (body !== undefined) headers.set("content-type", "application/json");
  new Headers(more).forEach((value, name) => void headers.set(name, value));
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const response = await mall.app.fetch(
    new Request(`http://cart${path}`, { method: verb, headers, body: text as string | undefined }),
  );
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** Lines stored for a cart, and what the cart's row says their number is. */
async function stored(cartId: string) {
  const [row] = await mall.db.sql.unsafe(
    `select c.line_count as "lineCount", c.version, count(i.variant_id)::int as lines,
       count(distinct i.position)::int as positions, coalesce(sum(i.quantity), 0)::int as units
     from cart.carts c left join cart.cart_items i on i.cart_id = c.id where c.id = $1 group by c.id`,
    [uuidOf(cartId)],
  );
  return row as unknown as {
    lineCount: number;
    version: number;
    lines: number;
    positions: number;
    units: number;
  };
}

describe("creating a cart", () => {
  test("gives a guest a new one each time, with the secret that opens it", async () => {
    const first = await rest("POST", "/v1/carts", {}, {});
    expect(first.status).toBe(201);
    expect(first.body.cartSecret).toMatch(/^[\w-]{43}$/);
    expect(first.body.cart).toMatchObject({
      state: "CART_STATE_OPEN",
      items: [],
      version: 1,
      subtotal: { currency: "USD", minor: "0" },
      total: { currency: "USD", minor: "0" },
    });
    const second = await rest("POST", "/v1/carts", {}, {});
    expect(second.body.cart.id).not.toBe(first.body.cart.id);
    expect(second.body.cartSecret).not.toBe(first.body.cartSecret);
    const read = await rest("GET", `/v1/carts/${first.body.cart.id}`, { cartSecret: first.body.cartSecret });
    expect(read.body).toEqual({ cart: first.body.cart });
    expect(asked).toEqual([]);
  });

  test("gives a user the same one again with 200, and a new one after it was bought", async () => {
    const as = { user: { id: mall.newId("usr") } };
    expect((await rest("GET", "/v1/me/cart", as)).body.reason).toBe("CART_NOT_FOUND");
    const first = await rest("POST", "/v1/carts", as, {});
    expect(first.status).toBe(201);
    expect(first.body.cartSecret).toBeUndefined();
    const cartId = first.body.cart.id as string;
    const variantId = sell();
    const { cart } = await cartClient(as).addItem({ cartId, variantId, quantity: 2 });
    const again = await rest("POST", "/v1/carts", as, {});
    expect(again.status).toBe(200);
    expect(again.body.cart).toMatchObject({
      id: cartId,
      version: cart!.version,
      items: [{ variantId, quantity: 2 }],
    });
    expect((await rest("GET", "/v1/me/cart", as)).body).toEqual(again.body);

    const checkoutId = mall.newId("chk");
    await checkout(as).lockCart({ cartId, checkoutId });
    expect((await rest("POST", "/v1/carts", as, {})).body.cart).toMatchObject({
      id: cartId,
      state: "CART_STATE_LOCKED",
    });
    await checkout().convertCart({ cartId, checkoutId });
    expect((await rest("GET", "/v1/me/cart", as)).status).toBe(404);
    const next = await rest("POST", "/v1/carts", as, {});
    expect(next.status).toBe(201);
    expect(next.body.cart.id).not.toBe(cartId);
  });

  test("by one user many times at once gives one cart, created once", async () => {
    const as = { user: { id: mall.newId("usr") } };
    const answers = await Promise.all(Array.from({ length: 25 }, () => rest("POST", "/v1/carts", as, {})));
    expect(new Set(answers.map(({ body }) => body.cart.id)).size).toBe(1);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([...Array(24).fill(200), 201]);
  });

  test("takes no fields", async () => {
    const { status, body } = await rest("POST", "/v1/carts", {}, { userId: mall.newId("usr") });
    expect(status).toBe(400);
    expect(body).toMatchObject({ reason: "VALIDATION", errors: [{ pointer: "#/userId" }] });
  });
});

describe("lines", () => {
  test("are added in order at current prices, and units are added to a line that exists", async () => {
    const { cartId, as } = await guestCart();
    const red = sell({ minor: 1250n, title: "Red" });
    const plain = sell({ minor: 999n });
    mall.clock.advance(5);
    await cartClient(as).addItem({ cartId, variantId: red, quantity: 1 });
    await cartClient(as).addItem({ cartId, variantId: plain, quantity: 3 });
    const { cart } = await cartClient(as).addItem({ cartId, variantId: red, quantity: 2 });
    expect(linesOf(cart)).toEqual([
      [red, 3],
      [plain, 3],
    ]);
    const offer = catalogue.get(red)!;
    expect(cart!.items[0]).toMatchObject({
      productId: offer.productId,
      sku: offer.variant!.sku,
      title: "Mug – Red",
      unitPrice: usd(1250n),
      total: usd(3750n),
      issue: ItemIssue.UNSPECIFIED,
    });
    expect(cart!.items[0]!.available).toBeUndefined();
    expect(cart!.items[1]).toMatchObject({ title: "Mug", total: usd(2997n) });
    expect(cart).toMatchObject({
      subtotal: usd(6747n),
      discountTotal: usd(0n),
      shippingTotal: usd(0n),
      taxTotal: usd(0n),
      total: usd(6747n),
      version: 4,
    });
    expect(cart!.updatedAt!.seconds).toBe(cart!.createdAt!.seconds + 5n);
    expect((await cartClient(as).getCart({ cartId })).cart).toEqual(cart);

    catalogue.get(red)!.variant!.price = { currency: "USD", minor: 1n } as never;
    expect((await cartClient(as).getCart({ cartId })).cart?.total).toEqual(usd(3000n));
  });

  test("tell what is available and what is wrong with them", async () => {
    const { cartId, as } = await guestCart();
    const few = sell({ available: 1 });
    const none = sell({ available: 0 });
    const enough = sell({ available: 2 });
    const gone = sell();
    for (const variantId of [few, none, enough, gone])
      await cartClient(as).addItem({ cartId, variantId, quantity: 2 });
    catalogue.delete(gone);
    const { cart } = await cartClient(as).getCart({ cartId });
    expect(cart!.items.map(({ variantId, available, issue }) => [variantId, available, issue])).toEqual([
      [few, 1, ItemIssue.INSUFFICIENT_STOCK],
      [none, 0, ItemIssue.OUT_OF_STOCK],
      [enough, 2, ItemIssue.UNSPECIFIED],
      [gone, 0, ItemIssue.UNAVAILABLE],
    ]);
    expect(cart!.items[3]).toMatchObject({ quantity: 2, unitPrice: usd(0n), total: usd(0n) });
    expect(cart!.total).toEqual(usd(6000n));
    const { cart: without } = await cartClient(as).removeItem({ cartId, variantId: gone });
    expect(without!.items).toHaveLength(3);
  });

  test("of variants that are not sold are refused and leave no trace", async () => {
    const { cartId, as } = await guestCart();
    const variantId = mall.newId("var");
    expect(await refusal(cartClient(as).addItem({ cartId, variantId, quantity: 1 }))).toEqual({
      code: "NotFound",
      reason: "VARIANT_NOT_FOUND",
    });
    expect(await stored(cartId)).toMatchObject({ lines: 0, lineCount: 0, version: 1 });
  });

  test("are set once: a repetition does not even grow the version", async () => {
    const { cartId, as } = await guestCart();
    const variantId = sell();
    await cartClient(as).addItem({ cartId, variantId, quantity: 5 });
    const { cart } = await cartClient(as).setItemQuantity({ cartId, variantId, quantity: 2 });
    expect(linesOf(cart)).toEqual([[variantId, 2]]);
    expect(cart!.version).toBe(3);
    expect((await cartClient(as).setItemQuantity({ cartId, variantId, quantity: 2 })).cart).toEqual(cart);
    expect(await refusal(cartClient(as).setItemQuantity({ cartId, variantId: sell(), quantity: 2 }))).toEqual(
      {
        code: "NotFound",
        reason: "ITEM_NOT_FOUND",
      },
    );
    expect(await stored(cartId)).toMatchObject({ lines: 1, lineCount: 1, version: 3 });
  });

  test("are removed once, and a line that comes back stands at the end", async () => {
    const { cartId, as } = await guestCart();
    const [first, second] = [sell(), sell()];
    await cartClient(as).addItem({ cartId, variantId: first, quantity: 5 });
    await cartClient(as).addItem({ cartId, variantId: second, quantity: 1 });
    const { cart } = await cartClient(as).removeItem({ cartId, variantId: first });
    expect(linesOf(cart)).toEqual([[second, 1]]);
    expect(cart!.version).toBe(4);
    expect((await cartClient(as).removeItem({ cartId, variantId: first })).cart).toEqual(cart);
    const { cart: back } = await cartClient(as).addItem({ cartId, variantId: first, quantity: 1 });
    expect(linesOf(back)).toEqual([
      [second, 1],
      [first, 1],
    ]);
    expect((await cartClient(as).getCart({ cartId })).cart).toEqual(back);
  });

  test("are all removed at once, and emptying an empty cart changes nothing", async () => {
    const { cartId, as } = await guestCart();
    for (let n = 0; n < 3; n++) await cartClient(as).addItem({ cartId, variantId: sell(), quantity: 1 });
    const { cart } = await cartClient(as).emptyCart({ cartId });
    expect(cart).toMatchObject({ items: [], version: 5, total: usd(0n) });
    expect((await cartClient(as).emptyCart({ cartId })).cart).toEqual(cart);
    expect(await stored(cartId)).toMatchObject({ lines: 0, lineCount: 0 });
  });

  test("stay as they are, and the add too, when the catalogue does not answer", async () => {
    const { cartId, as } = await guestCart();
    const variantId = sell();
    await cartClient(as).addItem({ cartId, variantId, quantity: 1 });
    productFails = true;
    expect((await refusal(cartClient(as).addItem({ cartId, variantId, quantity: 1 }))).code).toBe(
      "Unavailable",
    );
    expect(await stored(cartId)).toMatchObject({ units: 1, version: 2 });
  });
});

describe("limits", () => {
  test("999 units a line, also for adds at the same moment", async () => {
    const { cartId, as } = await guestCart();
    const variantId = sell();
    await cartClient(as).addItem({ cartId, variantId, quantity: 999 });
    expect(await refusal(cartClient(as).addItem({ cartId, variantId, quantity: 1 }))).toEqual({
      code: "FailedPrecondition",
      reason: "QUANTITY_LIMIT",
    });
    await cartClient(as).setItemQuantity({ cartId, variantId, quantity: 1 });
    const adds = Array.from({ length: 20 }, () =>
      refusal(cartClient(as).addItem({ cartId, variantId, quantity: 100 })),
    );
    const reasons = (await Promise.all(adds)).map(({ reason }) => reason ?? "added");
    expect(reasons.toSorted()).toEqual([...Array(11).fill("QUANTITY_LIMIT"), ...Array(9).fill("added")]);
    expect(await stored(cartId)).toMatchObject({ units: 901, version: 12, lineCount: 1 });
  });

  test("100 lines a cart, also for adds at the same moment", async () => {
    const { cartId, as } = await guestCart();
    const variants = Array.from({ length: 110 }, () => sell());
    for (const variantId of variants.slice(0, 90))
      await cartClient(as).addItem({ cartId, variantId, quantity: 1 });
    const adds = variants
      .slice(90)
      .map((variantId) => refusal(cartClient(as).addItem({ cartId, variantId, quantity: 1 })));
    const reasons = (await Promise.all(adds)).map(({ reason }) => reason ?? "added");
    expect(reasons.toSorted()).toEqual([...Array(10).fill("CART_LIMIT"), ...Array(10).fill("added")]);
    expect(await stored(cartId)).toMatchObject({ lines: 100, lineCount: 100, positions: 100, version: 101 });
    expect(await refusal(cartClient(as).addItem({ cartId, variantId: sell(), quantity: 1 }))).toEqual({
      code: "FailedPrecondition",
      reason: "CART_LIMIT",
    });
    const { cart } = await cartClient(as).addItem({ cartId, variantId: variants[0]!, quantity: 1 });
    expect(cart!.items[0]!.quantity).toBe(2);
  });
});

describe("changes at the same moment", () => {
  test("100 adds of one unit lose nothing", async () => {
    const { cartId, as } = await userCart();
    const variants = [sell(), sell(), sell(), sell()];
    const adds = Array.from({ length: 100 }, (_, n) =>
      cartClient(as).addItem({ cartId, variantId: variants[n % 4]!, quantity: 1 }),
    );
    const answers = await Promise.all(adds);
    for (const { cart } of answers) {
      // every unit that an answer shows was added by one change, so lines and version belong together
      expect(cart!.items.reduce((units, item) => units + item.quantity, 0)).toBe(cart!.version - 1);
      expect(cart!.items.every((item) => item.unitPrice!.minor === 1000n)).toBe(true);
    }
    const { cart } = await cartClient(as).getCart({ cartId });
    expect(cart!.items.map((item) => item.quantity)).toEqual([25, 25, 25, 25]);
    expect(cart!.version).toBe(101);
    expect(await stored(cartId)).toMatchObject({ lineCount: 4, lines: 4, positions: 4 });
  });

  test("adds, sets, removals and emptying keep the number of lines true", async () => {
    const { cartId, as } = await guestCart();
    const variants = Array.from({ length: 6 }, () => sell());
    const client = cartClient(as);
    const works = Array.from({ length: 120 }, (_, n) => {
      const variantId = variants[(n * 7) % 6]!;
      if (n % 30 === 29) return refusal(client.emptyCart({ cartId }));
      if (n % 3 === 1) return refusal(client.removeItem({ cartId, variantId }));
      if (n % 5 === 4) return refusal(client.setItemQuantity({ cartId, variantId, quantity: (n % 9) + 1 }));
      return refusal(client.addItem({ cartId, variantId, quantity: 1 }));
    });
    const reasons = new Set((await Promise.all(works)).map(({ reason }) => reason));
    expect([...reasons].filter((reason) => reason !== undefined && reason !== "ITEM_NOT_FOUND")).toEqual([]);
    const { lines, lineCount, positions } = await stored(cartId);
    expect(lineCount).toBe(lines);
    expect(positions).toBe(lines);
  });

  test("based on the same version have one winner", async () => {
    const { cartId, as } = await guestCart();
    const variantId = sell();
    const adds = Array.from({ length: 10 }, () =>
      refusal(cartClient(as).addItem({ cartId, variantId, quantity: 1, expectedVersion: 1 })),
    );
    const reasons = (await Promise.all(adds)).map(({ code, reason }) => `${code} ${reason}`);
    expect(reasons.toSorted()).toEqual([...Array(9).fill("Aborted VERSION_MISMATCH"), "undefined undefined"]);
    expect(await stored(cartId)).toMatchObject({ units: 1, version: 2 });
  });
});

describe("a checkout", () => {
  async function filled(holder = guestCart) {
    const held = await holder();
    const variants = [sell(), sell()];
    for (const variantId of variants) {
      await cartClient(held.as).addItem({ cartId: held.cartId, variantId, quantity: 2 });
    }
    return { ...held, variants };
  }

  test("locks the holder's cart, once or again, and reads its lines in order", async () => {
    for (const holder of [guestCart, userCart]) {
      const { cartId, as, variants } = await filled(holder);
      const checkoutId = mall.newId("chk");
      const { items } = await checkout(as).lockCart({ cartId, checkoutId });
      expect(items.map((item) => [item.variantId, item.quantity])).toEqual(variants.map((id) => [id, 2]));
      expect((await checkout(as).lockCart({ cartId, checkoutId })).items).toEqual(items);
      expect((await cartClient(as).getCart({ cartId })).cart!.state).toBe(CartState.LOCKED);
      expect(await refusal(checkout(as).lockCart({ cartId, checkoutId: mall.newId("chk") }))).toEqual({
        code: "Aborted",
        reason: "CART_LOCKED",
      });
    }
  });

  test("refuses all changes while it has the cart, which it then gives back unchanged", async () => {
    const { cartId, as, variants } = await filled();
    const before = (await cartClient(as).getCart({ cartId })).cart;
    const checkoutId = mall.newId("chk");
    await checkout(as).lockCart({ cartId, checkoutId });
    const client = cartClient(as);
    const [variantId] = variants as [string];
    const locked = { code: "Aborted", reason: "CART_LOCKED" };
    expect(await refusal(client.addItem({ cartId, variantId, quantity: 1 }))).toEqual(locked);
    expect(await refusal(client.setItemQuantity({ cartId, variantId, quantity: 9 }))).toEqual(locked);
    expect(await refusal(client.setItemQuantity({ cartId, variantId, quantity: 2 }))).toEqual(locked);
    expect(await refusal(client.removeItem({ cartId, variantId }))).toEqual(locked);
    expect(await refusal(client.removeItem({ cartId, variantId: mall.newId("var") }))).toEqual(locked);
    expect(await refusal(client.emptyCart({ cartId }))).toEqual(locked);

    await checkout().unlockCart({ cartId, checkoutId: mall.newId("chk") });
    expect((await client.getCart({ cartId })).cart!.state).toBe(CartState.LOCKED);
    await checkout().unlockCart({ cartId, checkoutId });
    await checkout().unlockCart({ cartId, checkoutId });
    expect((await client.getCart({ cartId })).cart).toEqual(before);
    await checkout(as).lockCart({ cartId, checkoutId: mall.newId("chk") });
  });

  test("ends the cart it has locked, once or again", async () => {
    const { cartId, as, variants } = await filled();
    const checkoutId = mall.newId("chk");
    const notHeld = { code: "Aborted", reason: "CART_LOCKED" };
    expect(await refusal(checkout().convertCart({ cartId, checkoutId }))).toEqual(notHeld);
    await checkout(as).lockCart({ cartId, checkoutId });
    expect(await refusal(checkout().convertCart({ cartId, checkoutId: mall.newId("chk") }))).toEqual(notHeld);
    await Promise.all([1, 2, 3].map(() => checkout().convertCart({ cartId, checkoutId })));
    await checkout().convertCart({ cartId, checkoutId });
    expect(await refusal(checkout().convertCart({ cartId, checkoutId: mall.newId("chk") }))).toEqual(notHeld);

    const client = cartClient(as);
    const [variantId] = variants as [string];
    const converted = { code: "FailedPrecondition", reason: "CART_CONVERTED" };
    expect(await refusal(client.addItem({ cartId, variantId, quantity: 1 }))).toEqual(converted);
    expect(await refusal(client.setItemQuantity({ cartId, variantId, quantity: 9 }))).toEqual(converted);
    expect(await refusal(client.removeItem({ cartId, variantId }))).toEqual(converted);
    expect(await refusal(client.emptyCart({ cartId }))).toEqual(converted);
    expect(await refusal(checkout(as).lockCart({ cartId, checkoutId: mall.newId("chk") }))).toEqual(
      converted,
    );
    await checkout().unlockCart({ cartId, checkoutId });
    const { cart } = await client.getCart({ cartId });
    expect(cart).toMatchObject({ state: CartState.CONVERTED, items: [{ quantity: 2 }, { quantity: 2 }] });
  });

  test("gets neither an empty cart, nor one of somebody else, nor an unknown one", async () => {
    const empty = await guestCart();
    const checkoutId = mall.newId("chk");
    expect(await refusal(checkout(empty.as).lockCart({ cartId: empty.cartId, checkoutId }))).toEqual({
      code: "FailedPrecondition",
      reason: "CART_EMPTY",
    });
    expect((await cartClient(empty.as).getCart({ cartId: empty.cartId })).cart!.state).toBe(CartState.OPEN);
    const unknown = { code: "NotFound", reason: "CART_NOT_FOUND" };
    const mine = await filled(userCart);
    const others = [{}, empty.as, { user: { id: mall.newId("usr") } }];
    for (const as of others) {
      expect(await refusal(checkout(as).lockCart({ cartId: mine.cartId, checkoutId }))).toEqual(unknown);
    }
    expect((await cartClient(mine.as).getCart({ cartId: mine.cartId })).cart!.state).toBe(CartState.OPEN);
    const nowhere = { cartId: mall.newId("cart"), checkoutId };
    expect(await refusal(checkout(mine.as).lockCart(nowhere))).toEqual(unknown);
    expect(await refusal(checkout().convertCart(nowhere))).toEqual(unknown);
    await checkout().unlockCart(nowhere);
  });

  test("that meets another one on a cart has one winner", async () => {
    const { cartId, as } = await filled();
    const locks = Array.from({ length: 10 }, () =>
      refusal(checkout(as).lockCart({ cartId, checkoutId: mall.newId("chk") })),
    );
    const reasons = (await Promise.all(locks)).map(({ reason }) => reason ?? "locked");
    expect(reasons.toSorted()).toEqual([...Array(9).fill("CART_LOCKED"), "locked"]);
  });

  test("that waits for a change reads the line which that change adds", async () => {
    const { cartId, as, variants } = await filled();
    const late = sell();
    let lock: ReturnType<ReturnType<typeof checkout>["lockCart"]> | undefined;
    await mall.db.tx(async ({ sql }) => {
      // what AddItem does, in a transaction that stays open until the lock waits for it
      await sql.unsafe("update cart.carts set version = version + 1, line_count = 3 where id = $1", [
        uuidOf(cartId),
      ]);
      await sql.unsafe("insert into cart.cart_items values ($1, $2, 7, 4, now())", [
        uuidOf(cartId),
        uuidOf(late),
      ]);
      lock = checkout(as).lockCart({ cartId, checkoutId: mall.newId("chk") });
      for (let waiting = 0; waiting === 0; ) {
        const [row] = await mall.db.sql.unsafe(
          `select count(*)::int as n from pg_locks join pg_stat_activity using (pid)
           where not granted and datname = current_database()`,
        );
        waiting = row!.n;
      }
    });
    const { items } = await lock!;
    expect(items.map((item) => [item.variantId, item.quantity])).toEqual([
      ...variants.map((id) => [id, 2]),
      [late, 7],
    ]);
  });

  test("that locks while lines are added reads exactly the adds that were let in", async () => {
    let [added, refused] = [0, 0];
    for (let round = 0; round < 40; round++) {
      const { cartId, as } = await guestCart();
      const [first, other] = [sell(), sell()];
      await cartClient(as).addItem({ cartId, variantId: first, quantity: 1 });
      const add = (variantId: string) => refusal(cartClient(as).addItem({ cartId, variantId, quantity: 1 }));
      const works = [add(first), add(other), add(first)];
      if (round % 2) await works[0];
      const lock = checkout(as).lockCart({ cartId, checkoutId: mall.newId("chk") });
      const reasons = (await Promise.all([...works, add(other), add(first)])).map(({ reason }) => reason);
      const { items } = await lock;
      const letIn = reasons.filter((reason) => reason === undefined).length;
      expect(reasons.filter((reason) => reason === "CART_LOCKED")).toHaveLength(5 - letIn);
      expect(items.reduce((units, item) => units + item.quantity, 0)).toBe(1 + letIn);
      expect(linesOf((await cartClient(as).getCart({ cartId })).cart)).toEqual(
        items.map((item) => [item.variantId, item.quantity]),
      );
      added += letIn;
      refused += 5 - letIn;
    }
    // both sides of the race were seen
    expect(added).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  });
});

describe("access", () => {
  test("a cart of somebody else answers exactly as an unknown one, and stays as it is", async () => {
    const variantId = sell();
    const secrets = derivedSecrets("test-master-key-test-master-key-0123456789");
    for (const { cartId, as } of [await guestCart(), await userCart()]) {
      await cartClient(as).addItem({ cartId, variantId, quantity: 1 });
      const before = await stored(cartId);
      const secret = secrets.secretOf("cart", cartId, 1);
      const strangers: As[] = [
        {},
        { user: { id: mall.newId("usr") } },
        { user: { id: mall.newId("usr"), roles: ["admin"] } },
        { cartSecret: "wrong" },
        { cartSecret: (await guestCart()).as.cartSecret },
        { cartSecret: secrets.secretOf("cart", cartId, 2) },
        { cartSecret: secrets.secretOf("order", cartId, 1) },
        as.user ? { cartSecret: secret } : { orderSecret: secret },
      ];
      const line = `/items/${variantId}`;
      const calls: [string, string, unknown?][] = [
        ["GET", ""],
        ["POST", "/items", { variantId, quantity: 1 }],
        ["POST", "/items", { variantId: mall.newId("var"), quantity: 1 }],
        ["PATCH", line, { quantity: 5 }],
        ["DELETE", line],
        ["DELETE", "/items"],
        ["PUT", "/coupon", { code: "SPRING" }],
        ["DELETE", "/coupon"],
      ];
      for (const stranger of strangers) {
        for (const [verb, path, body] of calls) {
          const answer = async (id: string) => {
            const response = await rest(verb, `/v1/carts/${id}${path}`, stranger, body, {
              "if-match": '"7"',
            });
            const { instance, ...problem } = response.body;
            expect(instance).toStartWith("urn:uuid:");
            response.headers.delete("x-request-id");
            return [response.status, [...response.headers], JSON.stringify(problem)];
          };
          const foreign = await answer(cartId);
          expect(foreign).toEqual(await answer(mall.newId("cart")));
          expect(foreign[0]).toBe(404);
          expect(foreign[2]).toContain('"CART_NOT_FOUND"');
        }
      }
      expect(await stored(cartId)).toEqual(before);
    }
  });

  test("a guest's cart opens to its secret after signing in too", async () => {
    const { cartId, as } = await guestCart();
    const { cart } = await cartClient({ ...as, user: { id: mall.newId("usr") } }).getCart({ cartId });
    expect(cart!.id).toBe(cartId);
  });

  test("methods for services refuse users, guests and other services", async () => {
    const { cartId, as } = await guestCart();
    const request = { cartId, checkoutId: mall.newId("chk") };
    const callers: As[] = [
      as,
      { user: { id: mall.newId("usr"), roles: ["admin"] } },
      { ...as, service: "gateway" },
    ];
    for (const caller of callers) {
      const client = cartClient(caller);
      const calls = [
        client.lockCart(request),
        client.unlockCart(request),
        client.convertCart(request),
        client.redeemCoupon({ code: "SPRING", checkoutId: request.checkoutId }),
        client.releaseCoupon({ checkoutId: request.checkoutId }),
      ];
      for (const { code } of await Promise.all(calls.map(refusal))) expect(code).toBe("PermissionDenied");
    }
    expect((await refusal(cartClient().getMyCart({}))).reason).toBe("UNAUTHENTICATED");
  });
});

describe("REST", () => {
  test("carries the version as ETag and takes it back as If-Match on every change", async () => {
    const { cartId, as } = await guestCart();
    const variantId = sell();
    const at = `/v1/carts/${cartId}`;
    expect((await rest("GET", at, as)).headers.get("etag")).toBe('"1"');
    const steps: [string, string, unknown?][] = [
      ["POST", "/items", { variantId, quantity: 1 }],
      ["PATCH", `/items/${variantId}`, { quantity: 5 }],
      ["DELETE", `/items/${variantId}`],
    ];
    let version = 1;
    for (const [verb, path, body] of steps) {
      const stale = await rest(verb, at + path, as, body, { "if-match": `"${version + 1}"` });
      expect(stale.status).toBe(412);
      expect(stale.body).toMatchObject({
        reason: "VERSION_MISMATCH",
        metadata: { expectedVersion: String(version + 1), version: String(version) },
      });
      const changed = await rest(verb, at + path, as, body, { "if-match": `"${version}"` });
      expect(changed.status).toBe(200);
      version++;
      expect(changed.headers.get("etag")).toBe(`"${version}"`);
      expect(changed.body.cart.version).toBe(version);
    }
    await rest("POST", `${at}/items`, as, { variantId, quantity: 1 });
    expect((await rest("DELETE", `${at}/items`, as, undefined, { "if-match": '"4"' })).status).toBe(412);
    const emptied = await rest("DELETE", `${at}/items`, as, undefined, { "if-match": '"5"' });
    expect(emptied.body.cart).toMatchObject({ items: [], version: 6 });
    for (const wrong of ["5", '"0"', '"x"', 'W/"6"', "*", '"99999999999"', '"9999999999"']) {
      const { status, body } = await rest("DELETE", `${at}/items`, as, undefined, { "if-match": wrong });
      expect([wrong, status]).toEqual([wrong, 400]);
      expect(body).toMatchObject({ reason: "VALIDATION", errors: [{ parameter: "If-Match" }] });
    }
  });

  test("names what is wrong with the input, and changes nothing", async () => {
    const { cartId, as } = await guestCart();
    const variantId = sell();
    await cartClient(as).addItem({ cartId, variantId, quantity: 1 });
    const before = await stored(cartId);
    const items = `/v1/carts/${cartId}/items`;
    const bodies: [unknown, string][] = [
      [{ variantId, quantity: "abc" }, "#/quantity"],
      [{ variantId, quantity: -1 }, "#/quantity"],
      [{ variantId, quantity: 0 }, "#/quantity"],
      [{ variantId, quantity: 1000 }, "#/quantity"],
      [{ variantId, quantity: 1e10 }, "#/quantity"],
      [{ variantId, quantity: 1.5 }, "#/quantity"],
      [{ variantId, quantity: null }, "#/quantity"],
      [{ variantId, quantity: [1] }, "#/quantity"],
      [{ variantId }, "#/quantity"],
      [{ variantId, quantity: 1, price: 1 }, "#/price"],
      [{ variantId, quantity: 1, cartId }, "#/cartId"],
      [{ variantId, quantity: 1, expectedVersion: 0 }, "#/expectedVersion"],
      [{ variantId: mall.newId("prod"), quantity: 1 }, "#/variantId"],
      [{ variantId: 7, quantity: 1 }, "#/variantId"],
      [{ quantity: 1 }, "#/variantId"],
      ["{", "#"],
      ["[]", "#"],
      ["null", "#"],
    ];
    for (const [body, pointer] of bodies) {
      const answer = await rest("POST", items, as, body);
      expect([body, answer.status, answer.body.reason]).toEqual([body, 400, "VALIDATION"]);
      expect(answer.body.errors[0].pointer).toBe(pointer);
      expect(answer.body.errors[0].detail).not.toBe("");
    }
    const parameters: [string, string, unknown, string][] = [
      ["GET", "/v1/carts/cart_123", undefined, "cartId"],
      ["GET", `/v1/carts/${mall.newId("ord")}`, undefined, "cartId"],
      ["GET", `/v1/carts/${cartId.toUpperCase()}`, undefined, "cartId"],
      ["GET", `/v1/carts/${cartId}?full=1`, undefined, "full"],
      ["PATCH", `${items}/var_1`, { quantity: 1 }, "variantId"],
      ["DELETE", `${items}/${cartId}`, undefined, "variantId"],
    ];
    for (const [verb, path, body, parameter] of parameters) {
      const answer = await rest(verb, path, as, body);
      expect([path, answer.status, answer.body.reason]).toEqual([path, 400, "VALIDATION"]);
      expect(answer.body.errors[0].parameter).toBe(parameter);
    }
    const form = await rest("POST", items, as, "quantity=1", {
      "content-type": "application/x-www-form-urlencoded",
    });
    expect([form.status, form.body.reason]).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
    const large = await rest("POST", items, as, { variantId, quantity: 1, note: "x".repeat(1024 * 1024) });
    expect([large.status, large.body.reason]).toEqual([413, "PAYLOAD_TOO_LARGE"]);
    expect((await rest("PUT", items, as, {})).status).toBe(405);
    expect(await stored(cartId)).toEqual(before);
  });
});

describe("REST and Connect", () => {
  /** Code and reason of a call to the Connect path. */
  async function connect(method: string, as: As, message: object) {
    const path = `/mall.cart.v1.CartService/${method}`;
    const { status, body } = await rest("POST", path, as, message);
    if (status === 200) return { code: "ok", reason: "" };
    const detail = body.details.find((d: { type: string }) => d.type === FaultInfoSchema.typeName);
    const info = fromBinary(FaultInfoSchema, Buffer.from(detail.value, "base64"));
    return { code: body.code as string, reason: info.reason };
  }

  test("give the same code and reason for the same input", async () => {
    const variantId = sell();
    const open = await guestCart();
    await cartClient(open.as).addItem({ cartId: open.cartId, variantId, quantity: 998 });
    const locked = await guestCart();
    await cartClient(locked.as).addItem({ cartId: locked.cartId, variantId, quantity: 1 });
    await checkout(locked.as).lockCart({ cartId: locked.cartId, checkoutId: mall.newId("chk") });
    const claimed = await guestCart();
    const claimant = { ...(await userCart()).as, ...claimed.as };
    await cartClient(claimant).claimCart({ cartId: claimed.cartId });
    const bought = await guestCart();
    const boughtBy = { cartId: bought.cartId, checkoutId: mall.newId("chk") };
    await cartClient(bought.as).addItem({ cartId: bought.cartId, variantId, quantity: 1 });
    await checkout(bought.as).lockCart(boughtBy);
    await checkout().convertCart(boughtBy);

    const cases: [{ cartId: string; as: As }, object, string][] = [
      [open, { variantId, quantity: 2 }, "QUANTITY_LIMIT"],
      [open, { variantId, quantity: 1, expectedVersion: 9 }, "VERSION_MISMATCH"],
      [open, { variantId: mall.newId("var"), quantity: 1 }, "VARIANT_NOT_FOUND"],
      [{ ...open, as: {} }, { variantId, quantity: 1 }, "CART_NOT_FOUND"],
      [{ ...open, cartId: "cart_x" }, { variantId, quantity: 1 }, "VALIDATION"],
      [locked, { variantId, quantity: 1 }, "CART_LOCKED"],
      [bought, { variantId, quantity: 1 }, "CART_CONVERTED"],
      [claimed, { variantId, quantity: 1 }, "CART_CLAIMED"],
      [open, { variantId, quantity: -1 }, "VALIDATION"],
      [open, { variantId, quantity: "abc" }, "VALIDATION"],
      [open, { variantId, quantity: 1e10 }, "VALIDATION"],
      [open, { variantId, quantity: 1, price: "1" }, "VALIDATION"],
    ];
    for (const [{ cartId, as }, body, reason] of cases) {
      const onConnect = await connect("AddItem", as, { cartId, ...body });
      const onRest = await rest("POST", `/v1/carts/${cartId}/items`, as, body);
      expect([body, onConnect.reason, onRest.body.reason]).toEqual([body, reason, reason]);
      const code = Object.values(Code).find(
        (c): c is Code => typeof c === "number" && codeName(c) === onConnect.code,
      );
      expect(onRest.status).toBe(restStatus(code!, reason));
    }
    expect(await connect("AddItem", open.as, { cartId: open.cartId, variantId, quantity: 1 })).toEqual({
      code: "ok",
      reason: "",
    });
  });
});

describe("work", () => {
  test("does not grow with the cart: few statements, one catalogue call, no transaction but for a claim", async () => {
    await mall.client(CartService, { service: "mall", idempotencyKey: "work" }).createCoupon({
      ...{ code: "WORK", amount: { currency: "USD", minor: 100n }, redemptionLimit: 10 },
    });
    for (const size of [1, 40]) {
      const { cartId, as } = await guestCart();
      const variants = Array.from({ length: size }, () => sell());
      for (const variantId of variants) await cartClient(as).addItem({ cartId, variantId, quantity: 1 });
      const client = cartClient(as);
      const [variantId] = variants as [string];
      const [checkoutId, other] = [mall.newId("chk"), mall.newId("chk")];
      const claimed = await guestCart();
      for (const id of variants) {
        await cartClient(claimed.as).addItem({ cartId: claimed.cartId, variantId: id, quantity: 1 });
      }
      const claim = { ...claimed.as, user: (await userCart()).as.user };
      const works: [string, () => Promise<unknown>, number, number][] = [
        ["get", () => client.getCart({ cartId }), 1, size],
        ["add to a line", () => client.addItem({ cartId, variantId, quantity: 1 }), 2, size],
        ["add a line", () => client.addItem({ cartId, variantId: sell(), quantity: 1 }), 2, size + 1],
        ["set", () => client.setItemQuantity({ cartId, variantId, quantity: 9 }), 2, size + 1],
        ["remove", () => client.removeItem({ cartId, variantId }), 2, size],
        ["put a coupon", () => client.applyCoupon({ cartId, code: "WORK" }), 4, size],
        ["lock", () => checkout(as).lockCart({ cartId, checkoutId }), 1, 0],
        ["unlock", () => checkout().unlockCart({ cartId, checkoutId }), 1, 0],
        ["lock again", () => checkout(as).lockCart({ cartId, checkoutId: other }), 1, 0],
        ["redeem", () => checkout().redeemCoupon({ code: "WORK", checkoutId: other }), 1, 0],
        ["release", () => checkout().releaseCoupon({ checkoutId: other }), 1, 0],
        ["open", () => checkout().unlockCart({ cartId, checkoutId: other }), 1, 0],
        ["take the coupon off", () => client.removeCoupon({ cartId }), 2, size],
        ["empty", () => client.emptyCart({ cartId }), 2, 0],
        ["create", () => cartClient().createCart({}), 1, 0],
        ["claim", () => cartClient(claim).claimCart({ cartId: claimed.cartId }), 4, size],
      ];
      for (const [name, work, statementsMax, variantsAsked] of works) {
        asked = [];
        const [statements, transactions] = [sent.statements(), sent.transactions()];
        await work();
        expect([name, sent.statements() - statements, sent.transactions() - transactions]).toEqual([
          ...[name, statementsMax, name === "claim" ? 1 : 0],
        ]);
        expect([name, asked.map((ids) => new Set(ids).size)]).toEqual([
          name,
          variantsAsked ? [variantsAsked] : [],
        ]);
      }
    }
  });
});
