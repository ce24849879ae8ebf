import { beforeAll, describe, expect, test } from "bun:test";
import openapi from "@mall/gen/openapi/mall.json";
import { host, hostKind } from "./host";
import {
  address,
  type Cart,
  type Customer,
  connect,
  guestWith,
  inStock,
  newKey,
  newUser,
  type Problem,
  purchase,
  rest,
  unknownId,
} from "./shop";

let guest: Customer;
let variantId: string;
beforeAll(async () => {
  await host();
  const variant = await inStock();
  variantId = variant.id;
  guest = await guestWith(variant);
});

describe(`bad input (${hostKind})`, () => {
  const items = (body: unknown, headers: Record<string, string> = {}) =>
    rest<Problem>("POST", `/v1/carts/${guest.cartId}/items`, body, { ...guest, headers });

  test.each([
    ["a negative quantity", { quantity: -1 }, "#/quantity"],
    ["a quantity of zero", { quantity: 0 }, "#/quantity"],
    ["a quantity beyond int32", { quantity: 99999999999 }, "#/quantity"],
    ["a quantity that is text", { quantity: "many" }, "#/quantity"],
    ["a quantity with a fraction", { quantity: 1.5 }, "#/quantity"],
    ["a malformed variant id", { variantId: "nonsense" }, "#/variantId"],
    ["an id of another kind", { variantId: unknownId("prod") }, "#/variantId"],
    ["a NUL character", { variantId: "var_\u0000" }, "#/variantId"],
    ["an unknown field", { price: "1" }, "#/price"],
    ["a field of the path", { cartId: unknownId("cart") }, "#/cartId"],
  ])("%s is refused with its pointer", async (_name, over, pointer) => {
    const answer = await items({ variantId, quantity: 1, ...over });
    expect([answer.status, answer.body.reason]).toEqual([400, "VALIDATION"]);
    expect(answer.body.errors.map((e) => e.pointer)).toContain(pointer);
    expect(answer.body.instance).toMatch(/^urn:uuid:[0-9a-f-]{36}$/);
    expect(answer.headers.get("x-request-id")).toBe(answer.body.instance.slice(9));
  });

  test.each([
    ["text that is no JSON", "{", {}, 400],
    ["an array", "[]", {}, 400],
    ["null", "null", {}, 400],
    ["another content type", "a=b", { "content-type": "application/x-www-form-urlencoded" }, 415],
    ["an oversized body", JSON.stringify({ variantId: "x".repeat(2 * 1024 * 1024) }), {}, 413],
  ])("%s is refused", async (_name, body, headers, status) => {
    const answer = await items(body, headers);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toContain("application/problem+json");
  });

  test("that is no protobuf is refused over Connect's binary form", async () => {
    const { url } = await host();
    const headers = { "content-type": "application/proto", "x-cart-secret": guest.cartSecret! };
    const response = await fetch(`${url}/mall.cart.v1.CartService/AddItem`, {
      method: "POST",
      headers,
      body: "{{{",
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "invalid_argument" });
  });

  test("changes nothing", async () => {
    const { body } = await rest<{ cart: Cart }>("GET", `/v1/carts/${guest.cartId}`, undefined, guest);
    expect(body.cart.items).toMatchObject([{ variantId, quantity: 1 }]);
  });

  test("of an address is refused field by field", async () => {
    const bad = { ...address, country: "usa", city: "", line1: "x".repeat(300) };
    const body = purchase(guest.cartId, "tok_ok", { shippingAddress: bad, email: "nobody" });
    const answer = await rest<Problem>("POST", "/v1/checkouts", body, { ...guest, key: newKey() });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map((e) => e.pointer).toSorted()).toEqual([
      "#/email",
      "#/shippingAddress/city",
      "#/shippingAddress/country",
      "#/shippingAddress/line1",
    ]);
  });

  test.each([
    ["/v1/products?pageSize=0", "pageSize"],
    ["/v1/products?pageSize=101", "pageSize"],
    ["/v1/products?pageSize=ten", "pageSize"],
    ["/v1/products?sort=random", "sort"],
    ["/v1/products?colour=red", "colour"],
    ["/v1/products?q=a&q=b", "q"],
    ["/v1/products?pageToken=broken", "pageToken"],
    ["/v1/products/nonsense", "productId"],
  ])("%s is refused with the parameter", async (path, parameter) => {
    const answer = await rest<Problem>("GET", path);
    expect([answer.status, answer.body.reason]).toEqual([400, "VALIDATION"]);
    expect(answer.body.errors.map((e) => e.parameter)).toContain(parameter);
  });

  test("a page token of another query is refused", async () => {
    const { body } = await rest<{ nextPageToken: string }>("GET", "/v1/products?pageSize=1");
    const answer = await rest<Problem>(
      "GET",
      `/v1/products?pageSize=1&sort=title&pageToken=${body.nextPageToken}`,
    );
    expect(answer.status).toBe(400);
  });

  test("unknown paths and verbs answer 404 and 405 as problems", async () => {
    expect((await rest<Problem>("GET", "/v1/nothing")).body).toMatchObject({
      status: 404,
      reason: "ROUTE_NOT_FOUND",
    });
    const known = { "/v1/products": "GET", "/v1/batch": "POST", "/.well-known/jwks.json": "GET" };
    for (const [path, allowed] of Object.entries(known)) {
      const verb = await rest<Problem>("DELETE", path);
      const told = [verb.status, verb.body.reason, verb.headers.get("allow")];
      expect(told).toEqual([405, "METHOD_NOT_ALLOWED", allowed]);
    }
  });

  test("service methods do not exist for the outside", async () => {
    const answer = await connect("mall.order.v1.OrderService/MarkOrderPaid", {
      orderId: unknownId("ord"),
      paymentId: unknownId("pay"),
    });
    expect(answer.status).toBe(404);
  });

  test("a broken or foreign bearer token is refused even where none is needed", async () => {
    for (const token of ["nonsense", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c3JfMSJ9."]) {
      const answer = await rest<Problem>("GET", "/v1/products", undefined, { token });
      expect([answer.status, answer.body.reason]).toEqual([401, "UNAUTHENTICATED"]);
      expect(answer.headers.get("www-authenticate")).toContain("Bearer");
    }
  });
});

describe(`the same input over REST and Connect (${hostKind})`, () => {
  const cases: [string, string, string, string, (u: string) => unknown, (u: string) => unknown][] = [
    [
      "a wrong quantity",
      "POST",
      "/v1/carts/:id/items",
      "mall.cart.v1.CartService/AddItem",
      () => ({ variantId, quantity: -1 }),
      (id) => ({ cartId: id, variantId, quantity: -1 }),
    ],
    [
      "a wrong type",
      "POST",
      "/v1/carts/:id/items",
      "mall.cart.v1.CartService/AddItem",
      () => ({ variantId, quantity: "x" }),
      (id) => ({ cartId: id, variantId, quantity: "x" }),
    ],
    [
      "an unknown field",
      "POST",
      "/v1/carts/:id/items",
      "mall.cart.v1.CartService/AddItem",
      () => ({ variantId, quantity: 1, price: 1 }),
      (id) => ({ cartId: id, variantId, quantity: 1, price: 1 }),
    ],
    [
      "an unknown variant",
      "POST",
      "/v1/carts/:id/items",
      "mall.cart.v1.CartService/AddItem",
      () => ({ variantId: unknownId("var"), quantity: 1 }),
      (id) => ({ cartId: id, variantId: unknownId("var"), quantity: 1 }),
    ],
    [
      "an unknown cart",
      "GET",
      `/v1/carts/${unknownId("cart")}`,
      "mall.cart.v1.CartService/GetCart",
      () => undefined,
      () => ({ cartId: unknownId("cart") }),
    ],
    ["no session", "GET", "/v1/me", "mall.user.v1.UserService/GetMe", () => undefined, () => ({})],
  ];

  test.each(cases)("%s has one verdict", async (_name, method, path, rpc, body, message) => {
    const viaRest = await rest<Problem>(method, path.replace(":id", guest.cartId), body(guest.cartId), guest);
    const viaConnect = await connect<{
      code: string;
      details: { debug?: { reason: string; violations?: { pointer: string }[] }; value: string }[];
    }>(rpc, message(guest.cartId), guest);
    const value = Buffer.from(viaConnect.body.details[0]!.value, "base64").toString("latin1");
    expect(value).toContain(viaRest.body.reason);
    for (const { pointer } of viaRest.body.errors) if (pointer) expect(value).toContain(pointer);
    const statusOf: Record<string, number> = {
      invalid_argument: 400,
      not_found: 404,
      unauthenticated: 401,
      failed_precondition: 409,
    };
    expect(statusOf[viaConnect.body.code]).toBe(viaRest.status);
  });
});

describe(`objects of others (${hostKind})`, () => {
  test("answer exactly as unknown ones and change nothing", async () => {
    const [owner, stranger] = [await newUser(), await newUser()];
    const made = await rest<{ cart: Cart }>("POST", "/v1/carts", {}, owner);
    const cartId = made.body.cart.id;
    await rest("POST", `/v1/carts/${cartId}/items`, { variantId, quantity: 1 }, owner);
    const strip = ({ status, body }: { status: number; body: Problem }) => ({
      status,
      body: { ...body, instance: "" },
    });
    const tries: [string, (id: string) => string, unknown][] = [
      ["GET", (id) => `/v1/carts/${id}`, undefined],
      ["POST", (id) => `/v1/carts/${id}/items`, { variantId, quantity: 1 }],
      ["PATCH", (id) => `/v1/carts/${id}/items/${variantId}`, { quantity: 5 }],
      ["DELETE", (id) => `/v1/carts/${id}/items/${variantId}`, undefined],
      ["DELETE", (id) => `/v1/carts/${id}/items`, undefined],
    ];
    for (const as of [{ token: stranger.token }, {}, { cartSecret: "A".repeat(43) }]) {
      for (const [method, path, body] of tries) {
        const foreign = await rest<Problem>(method, path(cartId), body, as);
        const unknown = await rest<Problem>(method, path(unknownId("cart")), body, as);
        expect(strip(foreign)).toEqual(strip(unknown));
        expect(foreign.status).toBe(404);
      }
      const placed = await rest<Problem>("POST", "/v1/checkouts", purchase(cartId, "tok_ok"), {
        ...as,
        key: newKey(),
      });
      expect([placed.status, placed.body.reason]).toEqual([404, "CART_NOT_FOUND"]);
    }
    const { body } = await rest<{ cart: Cart }>("GET", `/v1/carts/${cartId}`, undefined, owner);
    expect(body.cart.state).toBe("CART_STATE_OPEN");
    expect(body.cart.items).toMatchObject([{ variantId, quantity: 1 }]);
  });
});

describe(`sessions (${hostKind})`, () => {
  test("login works, a wrong password and an unknown account answer alike, refresh rotates", async () => {
    const user = await newUser();
    const login = await rest<{ user: { id: string }; tokens: { refreshToken: string } }>(
      "POST",
      "/v1/auth/login",
      { email: user.email.toUpperCase(), password: user.password },
    );
    expect([login.status, login.body.user.id]).toEqual([200, user.id]);
    const wrong = await rest<Problem>("POST", "/v1/auth/login", {
      email: user.email,
      password: "wrong password",
    });
    const nobody = await rest<Problem>("POST", "/v1/auth/login", {
      email: "nobody@example.com",
      password: "wrong password",
    });
    expect([wrong.status, { ...wrong.body, instance: "" }]).toEqual([
      nobody.status,
      { ...nobody.body, instance: "" },
    ]);
    expect(wrong.status).toBe(401);
    const next = await rest<{ tokens: { refreshToken: string; accessToken: string } }>(
      "POST",
      "/v1/auth/refresh",
      { refreshToken: user.refreshToken },
    );
    expect(next.status).toBe(200);
    expect(next.body.tokens.refreshToken).not.toBe(user.refreshToken);
    expect((await rest("GET", "/v1/me", undefined, { token: next.body.tokens.accessToken })).status).toBe(
      200,
    );
    const taken = await rest<Problem>("POST", "/v1/auth/register", {
      email: user.email,
      password: user.password,
    });
    expect([taken.status, taken.body.reason]).toEqual([409, "EMAIL_TAKEN"]);
  });
});

describe(`health and documents (${hostKind})`, () => {
  test("/livez, /readyz, /openapi.json, /docs and the public keys answer", async () => {
    const { url } = await host();
    for (const path of ["/livez", "/readyz", "/openapi.json", "/docs", "/.well-known/jwks.json"]) {
      expect([path, (await fetch(url + path)).status]).toEqual([path, 200]);
    }
  });

  test("/openapi.json is the same document on every host", async () => {
    const answer = await fetch(`${(await host()).url}/openapi.json`);
    expect(answer.headers.get("content-type")).toStartWith("application/json");
    expect(await answer.json()).toEqual(openapi);
  });

  test("browsers may call: CORS answers the preflight without credentials", async () => {
    const { url } = await host();
    const preflight = await fetch(`${url}/v1/checkouts`, {
      method: "OPTIONS",
      headers: {
        origin: "https://shop.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,idempotency-key,x-cart-secret",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
    expect(preflight.headers.get("access-control-allow-headers")?.toLowerCase()).toContain("idempotency-key");
    expect(preflight.headers.get("access-control-allow-credentials")).toBeNull();
  });
});
