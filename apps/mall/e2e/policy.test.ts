import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mall, newAdmin, newUserWith } from "./command";
import { hostKind } from "./host";
import { connect, inStock, newUser, type Options, type Problem, rest } from "./shop";

let admin: Options;
let variantId: string;
beforeAll(async () => {
  admin = await newAdmin();
  variantId = (await inStock()).id;
});

const made: string[] = [];
afterAll(async () => {
  for (const path of made) await rest("DELETE", path, undefined, admin);
});

/** Puts something into the policy, which is taken out again after the last test. */
async function put(path: string, body: object): Promise<void> {
  made.push(`/v1/policy/${path}`);
  const answer = await rest("PUT", `/v1/policy/${path}`, body, admin);
  expect([path, answer.status, answer.text]).toEqual([path, 200, expect.any(String)]);
}

const taken = async (path: string) =>
  expect((await rest("DELETE", `/v1/policy/${path}`, undefined, admin)).status).toBe(200);

const name = (what: string) => `${what}-${crypto.randomUUID().slice(0, 8)}`;

/** A change must act within this time on every instance; the answer that shows it takes a moment more. */
const actsWithinMs = 1_000;

/** Milliseconds until a request is answered as expected, asked again and again. */
async function untilAnswers(ask: () => Promise<number>, status: number): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    const askedMs = performance.now();
    const answered = await ask();
    if (answered === status) return askedMs - startedMs;
    if (askedMs - startedMs > 5_000) throw new Error(`still ${answered}, not ${status}`);
  }
}

const stock = (options?: Options) => async () =>
  (await rest("GET", `/v1/inventory/${variantId}`, undefined, options)).status;
const stockOverConnect = (options?: Options) => async () =>
  (await connect("mall.product.v1.InventoryService/GetStock", { variantId }, options)).status;
const browse = (options?: Options) => async () =>
  (await rest("GET", "/v1/products?pageSize=1", undefined, options)).status;

describe(`the policy of the operators (${hostKind})`, () => {
  test("gives a role of theirs its permissions and no others, and takes them back within a second", async () => {
    const role = name("packer");
    const user = await newUserWith("customer", role);
    expect(await stock(user)()).toBe(403);
    await put(`roles/${role}`, { permissions: ["stock.read"] });
    expect(await untilAnswers(stock(user), 200)).toBeLessThan(actsWithinMs);
    expect(await stockOverConnect(user)()).toBe(200);
    const adjust = await rest<Problem>("POST", `/v1/inventory/${variantId}/adjust`, { delta: 1 }, user);
    expect([adjust.status, adjust.body.reason]).toEqual([403, "FORBIDDEN"]);
    const own = await rest<Problem>("GET", "/v1/policy", undefined, user);
    expect([own.status, own.body.reason]).toEqual([403, "FORBIDDEN"]);
    await put(`roles/${role}`, { permissions: [] });
    expect(await untilAnswers(stock(user), 403)).toBeLessThan(actsWithinMs);
  });

  test("opens an operation that needs a permission to everyone, and closes it within a second", async () => {
    const rule = `rules/${name("open-stock")}`;
    expect(await stock()()).toBe(401);
    await put(rule, { effect: "RULE_EFFECT_OPEN", pattern: "/v1/inventory/*" });
    expect(await untilAnswers(stock(), 200)).toBeLessThan(actsWithinMs);
    expect(await stockOverConnect()()).toBe(200);
    expect((await rest("POST", `/v1/inventory/${variantId}/adjust`, { delta: 1 })).status).toBe(401);
    await taken(rule);
    expect(await untilAnswers(stock(), 401)).toBeLessThan(actsWithinMs);
  });

  test("refuses what a rule denies to some, on every surface, and lets others in", async () => {
    const role = name("suspect");
    const [suspect, other] = [await newUserWith("customer", role), await newUser()];
    const rule = `rules/${name("deny")}`;
    expect(await browse(suspect)()).toBe(200);
    await put(rule, { effect: "RULE_EFFECT_DENY", pattern: "/v1/products", roles: [role] });
    expect(await untilAnswers(browse(suspect), 403)).toBeLessThan(actsWithinMs);
    const overConnect = await connect("mall.product.v1.ProductService/ListProducts", {}, suspect);
    expect(overConnect.status).toBe(403);
    expect([await browse(other)(), await browse()()]).toEqual([200, 200]);
    await taken(rule);
    expect(await untilAnswers(browse(suspect), 200)).toBeLessThan(actsWithinMs);
  });

  test("refuses a blocked user everywhere within a second, and nobody else", async () => {
    const [user, other] = [await newUser(), await newUser()];
    const [order, checkout] = ["ord", "chk"].map((prefix) => `${prefix}_01jzzzzzzzzzzzzzzzzzzzzzzz`);
    // one path of each service
    const paths = [
      ...["/v1/policy/blocked-users", "/v1/me", "/v1/me/cart", "/v1/products", "/v1/orders"],
      ...[`/v1/orders/${order}/payments`, `/v1/checkouts/${checkout}`],
    ];
    const refusals = (options: Options) =>
      Promise.all(
        paths.map(async (path) => {
          const { body } = await rest<Problem>("GET", path, undefined, options);
          return body.reason === "USER_BLOCKED";
        }),
      );
    const none = paths.map(() => false);
    expect(await refusals(user)).toEqual(none);
    await put(`blocked-users/${user.id}`, {});
    await Bun.sleep(actsWithinMs);
    expect(await refusals(user)).toEqual(paths.map(() => true));
    expect(await refusals(other)).toEqual(none);
    await taken(`blocked-users/${user.id}`);
    await Bun.sleep(actsWithinMs);
    expect(await refusals(user)).toEqual(none);
  });

  test("refuses the tokens of a session that has ended, within a second on every service", async () => {
    const user = await newUser();
    expect(await browse(user)()).toBe(200);
    expect((await rest("POST", "/v1/auth/logout", {}, user)).status).toBe(200);
    expect((await rest<Problem>("POST", "/v1/auth/logout", {}, user)).body.reason).toBe("UNAUTHENTICATED");
    expect(await untilAnswers(browse(user), 401)).toBeLessThan(actsWithinMs);
    const again = await rest<{ tokens: { accessToken: string } }>("POST", "/v1/auth/login", {
      email: user.email,
      password: user.password,
    });
    expect(await browse({ token: again.body.tokens.accessToken })()).toBe(200);
  });

  test("makes tokens stale that know other roles, until they are refreshed", async () => {
    const user = await newUser();
    expect(await browse(user)()).toBe(200);
    expect((await mall("admin", "create", user.email)).exitCode).toBe(0);
    expect(await untilAnswers(browse(user), 401)).toBeLessThan(actsWithinMs);
    const me = () => rest<Problem>("GET", "/v1/me", undefined, user);
    expect(await untilAnswers(async () => (await me()).status, 401)).toBeLessThan(actsWithinMs);
    expect((await me()).body.reason).toBe("TOKEN_STALE");
    const next = await rest<{ tokens: { accessToken: string } }>("POST", "/v1/auth/refresh", {
      refreshToken: user.refreshToken,
    });
    const token = next.body.tokens.accessToken;
    expect((await rest("GET", "/v1/policy", undefined, { token })).status).toBe(200);
    expect((await rest("GET", "/v1/me", undefined, { token })).status).toBe(200);
  });

  test("is changed by commands, too", async () => {
    const [role, rule] = [name("picker"), name("pickers")];
    const user = await newUserWith("customer", role);
    expect((await mall("policy", "role", "set", role, "stock.fly")).exitCode).toBe(1);
    expect((await mall("policy", "role", "set", role, "stock.read")).text).toContain("gives stock.read");
    expect(await untilAnswers(stock(user), 200)).toBeLessThan(actsWithinMs);
    expect((await mall("policy", "rule", "set", rule, "deny", "/v1/no/such/path")).exitCode).toBe(1);
    const set = await mall(
      "policy",
      "rule",
      "set",
      rule,
      "deny",
      "/mall.product.v1.InventoryService/Get*",
      role,
    );
    expect(set.text.trim()).toBe(`${rule}: deny ${role}: GetStock`);
    expect(await untilAnswers(stock(user), 403)).toBeLessThan(actsWithinMs);
    const shown = (await mall("policy", "show")).text;
    expect(shown).toContain(`role ${role}: stock.read`);
    expect(shown).toContain(`rule ${rule}: deny`);
    expect((await mall("policy", "rule", "delete", rule)).exitCode).toBe(0);
    expect((await mall("policy", "role", "delete", role)).exitCode).toBe(0);
    expect((await mall("policy", "role", "delete", role)).exitCode).toBe(1);
    expect((await mall("policy", "frobnicate")).exitCode).toBe(2);
    const changes = (await mall("policy", "history")).text.trim().split("\n");
    expect(changes[0]).toMatch(new RegExp(`^\\d+  \\S+Z  \\S+  DeleteRole ${role}$`));
    const open = changes.find((line) => line.endsWith(`SetRole ${role}`))!;
    expect((await mall("policy", "rollback", "x")).exitCode).toBe(2);
    const before = (await mall("policy", "show")).text;
    expect((await mall("policy", "rollback", open.split(" ")[0]!)).exitCode).toBe(0);
    expect(await untilAnswers(stock(user), 200)).toBeLessThan(actsWithinMs);
    expect((await mall("policy", "role", "delete", role)).exitCode).toBe(0);
    const namesOf = (text: string) => text.replace(/revision.*/s, "");
    expect(namesOf((await mall("policy", "show")).text)).toBe(namesOf(before));
    expect(await untilAnswers(stock(user), 403)).toBeLessThan(actsWithinMs);
  });
});
