import { describe, expect, test } from "bun:test";
import { newUserWith } from "./command";
import { hostKind } from "./host";
import { mailedCode } from "./mails";
import { address, inStock, newUser, type Options, type Placed, placeOrder, rest } from "./shop";

interface Saved {
  id: string;
  address: typeof address;
  isDefault: boolean;
  version: number;
}

const save = async (who: Options, line1: string): Promise<Saved> =>
  (await rest<{ address: Saved }>("POST", "/v1/me/addresses", { address: { ...address, line1 } }, who)).body
    .address;

const listed = async (who: Options): Promise<Saved[]> =>
  (await rest<{ addresses: Saved[] }>("GET", "/v1/me/addresses", undefined, who)).body.addresses;

/** Asks until the answer is as wanted, for 20 seconds at most. */
async function eventually(status: number, ask: () => Promise<{ status: number; text: string }>) {
  let answer = await ask();
  for (
    const until = Date.now() + 20_000;
    answer.status !== status && Date.now() < until;
    answer = await ask()
  )
    await Bun.sleep(100);
  return answer;
}

describe(`a user's addresses (${hostKind})`, () => {
  test("are kept, changed, made the default and forgotten", async () => {
    const me = await newUser();
    const [first, second] = [await save(me, "1 Way"), await save(me, "2 Way")];
    expect([first.isDefault, second.isDefault]).toEqual([true, false]);
    const path = `/v1/me/addresses/${second.id}`;
    const changed = await rest<{ address: Saved }>(
      "PATCH",
      path,
      { isDefault: true },
      {
        ...me,
        headers: { "if-match": '"1"' },
      },
    );
    expect(changed.headers.get("etag")).toBe('"2"');
    expect((await listed(me)).map(({ id, isDefault }) => [id, isDefault])).toEqual([
      [second.id, true],
      [first.id, false],
    ]);
    const stale = { ...me, headers: { "if-match": '"1"' } };
    expect((await rest("DELETE", path, undefined, stale)).status).toBe(412);
    expect((await rest("DELETE", path, undefined, me)).status).toBe(200);
    expect(await listed(me)).toMatchObject([{ id: first.id, isDefault: true, address: { line1: "1 Way" } }]);
  });
});

describe(`a user who wants to know and to be forgotten (${hostKind})`, () => {
  test("gets all that is known, and then is gone within seconds, but for the orders", async () => {
    const me = await newUser();
    const staff = await newUserWith("customer", "staff");
    await save(me, "1 Way");
    const variant = await inStock();
    const cart = (await rest<{ cart: { id: string } }>("POST", "/v1/carts", {}, me)).body.cart.id;
    await rest("POST", `/v1/carts/${cart}/items`, { variantId: variant.id, quantity: 1 }, me);
    const placed = await placeOrder<Placed>({ ...me, cartId: cart });
    expect(placed.status).toBe(201);

    const known = await rest("GET", "/v1/me/export", undefined, me);
    expect(known.body.export).toMatchObject({
      profile: { id: me.id, email: me.email },
      roles: ["customer"],
      addresses: [{ address: { line1: "1 Way" } }],
    });
    const path = `/v1/users/${me.id}`;
    expect(await rest("GET", path, undefined, staff)).toMatchObject({
      status: 200,
      body: { user: { email: me.email } },
    });

    const without = await rest("DELETE", "/v1/me", { password: "a guess" }, me);
    expect(without).toMatchObject({ status: 401, body: { reason: "INVALID_CREDENTIALS" } });
    const { id, email, password, refreshToken } = me;
    expect((await rest("DELETE", "/v1/me", { password }, me)).status).toBe(200);

    const order = `/v1/orders/${placed.body.order.id}`;
    expect((await eventually(401, () => rest("GET", order, undefined, me))).text).toContain("TOKEN_STALE");
    expect((await eventually(401, () => rest("GET", "/v1/me", undefined, me))).status).toBe(401);
    expect((await rest("POST", "/v1/auth/refresh", { refreshToken })).status).toBe(401);
    expect((await rest("POST", "/v1/auth/login", { email, password })).status).toBe(401);
    expect((await rest("GET", path, undefined, staff)).status).toBe(404);
    const payments = await rest("GET", `${order}/payments`, undefined, staff);
    expect(payments.status).toBeLessThan(500);

    const again = await rest<{ user: { id: string } }>("POST", "/v1/auth/register", { email, password });
    expect(again.status).toBe(201);
    expect(again.body.user.id).not.toBe(id);
  });
});

describe(`a user's e-mail address (${hostKind})`, () => {
  test("is verified by mail, and changed by mail to the new address", async () => {
    const me = await newUser();
    expect((await rest("POST", "/v1/auth/email-verification", {}, me)).status).toBe(200);
    const code = await mailedCode(me.email);
    const verified = await rest("POST", "/v1/auth/email-verification/confirm", { code });
    expect(verified).toMatchObject({ status: 200, body: { user: { id: me.id, emailVerified: true } } });
    const again = await rest("POST", "/v1/auth/email-verification/confirm", { code });
    expect(again).toMatchObject({ status: 400, body: { reason: "CODE_INVALID" } });

    await rest("GET", "/v1/me", undefined, me);
    const email = `new-${me.email}`;
    expect((await rest("POST", "/v1/auth/email-change", { email, password: me.password }, me)).status).toBe(
      200,
    );
    const confirmed = await rest("POST", "/v1/auth/email-change/confirm", { code: await mailedCode(email) });
    expect(confirmed).toMatchObject({ status: 200, body: { user: { email } } });
    const mine = () => rest<{ user: { email: string } }>("GET", "/v1/me", undefined, me);
    let profile = await mine();
    for (
      const until = Date.now() + 20_000;
      profile.body.user.email !== email && Date.now() < until;
      profile = await mine()
    )
      await Bun.sleep(100);
    expect(profile.body.user.email).toBe(email);
    expect((await rest("POST", "/v1/auth/login", { email, password: me.password })).status).toBe(200);
    const { password } = me;
    expect((await rest("POST", "/v1/auth/login", { email: me.email, password })).status).toBe(401);
  });
});
