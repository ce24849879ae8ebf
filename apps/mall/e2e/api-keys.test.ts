import { beforeAll, describe, expect, test } from "bun:test";
import { openDb } from "@mall/kernel/db/client";
import { newAdmin, newApiKey, newUserWith } from "./command";
import { host, hostKind } from "./host";
import { inStock, newKey, newUser, type Options, type Problem, rest } from "./shop";

interface ApiKey {
  id: string;
  prefix: string;
  scopes: string[];
  lastUsedAt?: string;
  revokedAt?: string;
}

let admin: Options;
let variantId: string;
beforeAll(async () => {
  admin = await newAdmin();
  variantId = (await inStock()).id;
});

const stock = async (token: string) =>
  (await rest("GET", `/v1/inventory/${variantId}`, undefined, { token })).status;
const mine = async (creator: Options) =>
  (await rest<{ apiKeys: ApiKey[] }>("GET", "/v1/api-keys", undefined, creator)).body.apiKeys;

/** A change acts within a second; the answer that shows it takes a moment more. */
const withinASecond = () => Bun.sleep(1_000);

describe(`an API key (${hostKind})`, () => {
  test("lets a machine do what its scopes name and nothing else", async () => {
    const { id, key } = await newApiKey(
      await newUserWith("customer", "staff"),
      "stock.read",
      "stock.receive",
    );
    expect(key).toMatch(/^mk_[0-9a-z]{12}_[A-Za-z0-9_-]{43}$/);
    expect(await stock(key)).toBe(200);
    const idempotencyKey = newKey();
    const receive = () =>
      rest(
        "POST",
        `/v1/inventory/${variantId}/receive`,
        { quantity: 1 },
        { token: key, key: idempotencyKey },
      );
    const [first, again] = [await receive(), await receive()];
    expect([first.status, again.text]).toEqual([200, first.text]);
    const adjust = { token: key, key: newKey() };
    expect((await rest("POST", `/v1/inventory/${variantId}/adjust`, { delta: 1 }, adjust)).status).toBe(403);
    for (const path of ["/v1/me", "/v1/api-keys", "/v1/policy"])
      expect([path, (await rest("GET", path, undefined, { token: key })).status]).toEqual([path, 403]);
    expect(id).toStartWith("key_");
  });

  test("shows its prefix and its last use, and is stored as a digest only", async () => {
    const creator = await newUserWith("customer", "staff");
    const { id, key } = await newApiKey(creator, "stock.read");
    const [before] = await mine(creator);
    expect([before?.id, before?.scopes, before?.lastUsedAt]).toEqual([id, ["stock.read"], undefined]);
    expect(key).toStartWith(`${before!.prefix}_`);
    expect(await stock(key)).toBe(200);
    expect((await mine(creator))[0]?.lastUsedAt).toBeString();
    const owner = openDb({ url: (await host()).databaseUrl, max: 1 });
    const rows = await owner.sql`select row_to_json(k)::text as text from auth.api_keys k`;
    await owner.close();
    const secret = key.slice(16);
    const hex = Buffer.from(secret).toString("hex");
    expect(rows.filter(({ text }) => text.includes(secret) || text.includes(hex))).toEqual([]);
  });

  test("has no scope that its creator has not, when it is made and afterwards", async () => {
    const role = `clerk-${crypto.randomUUID().slice(0, 8)}`;
    const put = (permissions: string[]) => rest("PUT", `/v1/policy/roles/${role}`, { permissions }, admin);
    expect((await put(["stock.read"])).status).toBe(200);
    const clerk = await newUserWith("customer", role);
    const asked = { name: "greedy", scopes: ["stock.read", "stock.adjust"], ttlDays: 1 };
    const refused = await rest<Problem>("POST", "/v1/api-keys", asked, clerk);
    expect([refused.status, refused.body.reason, refused.body.metadata]).toEqual([
      ...[403, "SCOPES_EXCEEDED"],
      { scopes: "stock.adjust" },
    ]);
    const customer = await rest<Problem>("POST", "/v1/api-keys", asked, await newUser());
    expect(customer.body.reason).toBe("SCOPES_EXCEEDED");
    const { key } = await newApiKey(clerk, "stock.read");
    await withinASecond();
    expect(await stock(key)).toBe(200);
    await put([]);
    await withinASecond();
    expect(await stock(key)).toBe(403);
    await rest("DELETE", `/v1/policy/roles/${role}`, undefined, admin);
  });

  test("is rotated without a failed request, and works nowhere a second after it was revoked", async () => {
    const creator = await newUserWith("customer", "staff");
    const { id, key } = await newApiKey(creator, "stock.read");
    const rotate = async (overlapSeconds: number) =>
      (
        await rest<{ key: string }>(
          "POST",
          `/v1/api-keys/${id}/rotate`,
          { ttlDays: 1, overlapSeconds },
          creator,
        )
      ).body.key;
    const second = await rotate(60);
    expect([await stock(key), await stock(second)]).toEqual([200, 200]);
    const third = await rotate(0);
    await withinASecond();
    expect([await stock(key), await stock(second), await stock(third)]).toEqual([401, 401, 200]);
    const path = `/v1/api-keys/${id}`;
    expect((await rest("DELETE", path, undefined, await newUserWith("customer", "staff"))).status).toBe(404);
    expect((await rest("DELETE", path, undefined, creator)).status).toBe(200);
    expect((await rest("DELETE", path, undefined, creator)).status).toBe(404);
    await withinASecond();
    expect(await stock(third)).toBe(401);
    expect((await mine(creator))[0]?.revokedAt).toBeString();
  });

  test("ends with its creator's being blocked", async () => {
    const creator = await newUserWith("customer", "staff");
    const { key } = await newApiKey(creator, "stock.read");
    expect(await stock(key)).toBe(200);
    await rest("PUT", `/v1/policy/blocked-users/${creator.id}`, {}, admin);
    await withinASecond();
    expect(await stock(key)).toBe(403);
    await rest("DELETE", `/v1/policy/blocked-users/${creator.id}`, undefined, admin);
  });

  test("that nobody made is refused", async () => {
    const { key } = await newApiKey(await newUserWith("customer", "staff"), "stock.read");
    const other = key.endsWith("A") ? "B" : "A";
    const forged = [
      "mk_",
      "mk_x_y",
      `${key.slice(0, -1)}${other}`,
      `mk_${"0".repeat(12)}_${"A".repeat(43)}`,
      `${key}A`,
    ];
    for (const token of forged) expect([token.length, await stock(token)]).toEqual([token.length, 401]);
  });
});
