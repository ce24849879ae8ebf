import { beforeAll, describe, expect, test } from "bun:test";
import { host, hostKind } from "./host";
import { guestWith, inStock, newUser, rest } from "./shop";

interface Batch {
  responses: { id: string; status: number; headers: Record<string, string>; body: unknown }[];
}

beforeAll(async () => void (await host()));

describe(`the edge (${hostKind})`, () => {
  test("answers several requests in one, under one identity, each by itself", async () => {
    const variant = await inStock();
    const guest = await guestWith(variant);
    const user = await newUser();
    const requests = [
      { id: "me", method: "GET", path: "/v1/me" },
      { id: "cart", method: "GET", path: `/v1/carts/${guest.cartId}` },
      { id: "mine", method: "GET", path: `/v1/carts/${guest.cartId}`, headers: { "X-Cart-Secret": "wrong" } },
      { id: "add", method: "POST", path: `/v1/carts/${guest.cartId}/items`, body: { variantId: variant.id } },
      { id: "list", method: "GET", path: "/v1/products?pageSize=1" },
    ];
    const { status, body } = await rest<Batch>(
      "POST",
      "/v1/batch",
      { requests },
      { ...guest, token: user.token },
    );
    expect(status).toBe(200);
    expect(body.responses.map(({ id, status: each }) => [id, each])).toEqual([
      ["me", 200],
      ["cart", 200],
      ["mine", 404],
      ["add", 400],
      ["list", 200],
    ]);
    const bodies = Object.fromEntries(body.responses.map((answer) => [answer.id, answer.body]));
    expect(bodies).toMatchObject({
      me: { user: { id: user.id } },
      cart: { cart: { id: guest.cartId } },
      mine: { reason: "CART_NOT_FOUND" },
      add: { reason: "VALIDATION" },
      list: { products: [{}] },
    });
    const alone = await rest<Batch>("POST", "/v1/batch", { requests: requests.slice(0, 1) });
    expect(alone.body.responses[0]!.status).toBe(401);
  });

  test("sends what all may read again only when it has changed", async () => {
    const { body } = await rest<{ products: { id: string }[] }>("GET", "/v1/products?pageSize=1");
    for (const path of ["/v1/products?pageSize=2", `/v1/products/${body.products[0]!.id}`]) {
      const first = await rest("GET", path);
      const etag = first.headers.get("etag")!;
      expect(etag).toStartWith('W/"');
      const again = await rest("GET", path, undefined, { headers: { "if-none-match": etag } });
      expect([again.status, again.text]).toEqual([304, ""]);
      const other = await rest("GET", path, undefined, { headers: { "if-none-match": 'W/"other"' } });
      expect([other.status, other.text]).toEqual([200, first.text]);
    }
  });
});
