import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { ApiKeyService } from "@mall/gen/mall/auth/v1/keys_pb";
import { PolicyService, RuleEffect } from "@mall/gen/mall/auth/v1/policy_pb";
import { uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { revokeTokensOfUser } from "./db/revocations";
import { bunPasswords } from "./password/bun";
import { type AuthCommands, createAuthCommands, createAuthService } from "./service";

let mall: Harness;
let history: AuthCommands;
beforeAll(async () => {
  const passwords = bunPasswords({ memoryKib: 64, passes: 1 });
  mall = await harness("auth", (given) => {
    history = createAuthCommands(given, passwords);
    return createAuthService(given, passwords);
  });
});
afterAll(() => mall.stop());

const commands = () => mall.client(PolicyService, { service: "mall" });
const gate = () => mall.client(PolicyService, { service: "product" });

let people = 0;
async function someone(...roles: string[]) {
  const email = `person-${++people}@example.com`;
  const { user, tokens } = await mall
    .client(AuthService)
    .register({ email, password: "correct horse battery" });
  const id = user!.id as `usr_${string}`;
  if (roles.length > 0)
    await mall.db.sql`update auth.accounts set roles = ${`{${roles}}`} where id = ${uuidOf(id)}`;
  const headers = { authorization: `Bearer ${tokens!.accessToken}` };
  return { id, options: { headers } };
}

describe("a change of the policy", () => {
  test("that only blocks somebody can be gone back to, too, before there was any role or rule", async () => {
    const { id: userId } = await someone();
    await commands().blockUser({ userId });
    const { revision } = (await commands().describePolicy({})).policy!;
    await commands().setRole({ name: "brief", permissions: ["stock.read"] });
    await history.rollbackPolicy(revision);
    expect((await commands().describePolicy({})).policy).toMatchObject({ roles: [], rules: [] });
    await commands().unblockUser({ userId });
  });

  test("is kept with its author, and roles and rules can be as they were then", async () => {
    const admin = await someone("admin");
    const password = "correct horse battery";
    const again = await mall.client(AuthService).login({ email: `person-${people}@example.com`, password });
    const signedIn = { headers: { authorization: `Bearer ${again.tokens!.accessToken}` } };
    const permissions = ["stock.read"];
    const rule = { name: "closed", effect: RuleEffect.DENY, pattern: "/v1/coupons" };
    const shown = async () => {
      const { roles, rules, revision } = (await commands().describePolicy({})).policy!;
      return { revision, has: [...roles.map(({ name }) => name), ...rules.map(({ name }) => name)] };
    };
    const { revision: before } = await shown();
    await mall.client(PolicyService).setRole({ name: "keeper", permissions }, signedIn);
    await commands().setRule(rule);
    const { id: blocked } = await someone();
    await commands().blockUser({ userId: blocked });
    const { revision: all, has } = await shown();
    expect([all, has]).toEqual([before + 3n, ["keeper", "closed"]]);
    await commands().deleteRole({ name: "keeper" });
    await commands().setRule({ ...rule, pattern: "/v1/**" });
    await history.rollbackPolicy(all);
    const { policy } = await commands().describePolicy({});
    expect(policy).toMatchObject({
      revision: all + 3n,
      roles: [{ name: "keeper", permissions }],
      rules: [rule],
    });
    const known = { knownRevision: all };
    expect((await gate().getPolicy(known)).policy).toMatchObject({ rules: [rule] });
    expect((await commands().listBlockedUsers({})).userIds).toContain(blocked);
    // what this version does not know any more stays away
    await mall.db.sql`insert into auth.policy_revisions select -1, at, author, action, subject,
      jsonb_set(roles, '{0,permissions}', '["stock.read", "gone.away"]'), rules
      from auth.policy_revisions where revision = ${String(all - 1n)}`;
    await history.rollbackPolicy(-1n);
    expect((await commands().describePolicy({})).policy!.roles).toMatchObject([{ permissions }]);
    await history.rollbackPolicy(0n);
    expect((await shown()).has).toEqual([]);
    expect(await reasonOf(history.rollbackPolicy(all + 99n))).toBe("REVISION_NOT_FOUND");
    const kept = [];
    for await (const { revision, action, subject, author } of history.listPolicyHistory())
      if (revision > before) kept.push([revision - before, action, subject, author]);
    expect(kept.toReversed().map(([, action, subject]) => [action, subject])).toEqual([
      ["SetRole", "keeper"],
      ["SetRule", "closed"],
      ["BlockUser", blocked],
      ["DeleteRole", "keeper"],
      ["SetRule", "closed"],
      ["RollbackPolicy", String(all)],
      ["RollbackPolicy", "-1"],
      ["RollbackPolicy", "0"],
    ]);
    expect(kept.at(-1)![3]).toBe(admin.id);
    await commands().unblockUser({ userId: blocked });
    const rights = await mall.db.sql`select privilege_type as right from information_schema.role_table_grants
      where grantee = 'mall_auth' and table_name in ('policy_revisions', 'config_revisions')`;
    expect(new Set(rights.map(({ right }) => right))).toEqual(new Set(["SELECT", "INSERT"]));
  });

  test("is refused when it contradicts itself, and then changes nothing", async () => {
    const { revision } = (await commands().describePolicy({})).policy!;
    const bad = [
      commands().setRole({ name: "admin", permissions: ["stock.read"] }),
      commands().setRole({ name: "packer", permissions: ["stock.fly"] }),
      commands().setRole({ name: "Packer", permissions: [] }),
      commands().setRule({ name: "rule", effect: RuleEffect.OPEN, pattern: "/v1/**", roles: ["staff"] }),
      commands().setRule({ name: "rule", effect: RuleEffect.UNSPECIFIED, pattern: "/v1/**" }),
      commands().setRule({ name: "rule", effect: 9 as RuleEffect, pattern: "/v1/**" }),
      ...["v1", "/v1//x", "/**/x", "/a*b", "/v1/{id}", `/${"a".repeat(200)}`].map((pattern) =>
        commands().setRule({ name: "rule", effect: RuleEffect.DENY, pattern }),
      ),
    ];
    expect(await Promise.all(bad.map(reasonOf))).toEqual(bad.map(() => "VALIDATION"));
    expect(await reasonOf(commands().deleteRole({ name: "packer" }))).toBe("ROLE_NOT_FOUND");
    expect(await reasonOf(commands().deleteRule({ name: "rule" }))).toBe("RULE_NOT_FOUND");
    const userId = mall.newId("usr");
    expect(await reasonOf(commands().blockUser({ userId }))).toBe("ACCOUNT_NOT_FOUND");
    expect(await reasonOf(commands().unblockUser({ userId }))).toBe("BLOCKED_USER_NOT_FOUND");
    expect((await commands().describePolicy({})).policy).toMatchObject({ revision, roles: [], rules: [] });
  });

  test("counts its revision up, also when many come at once, and is told once to who knows the rest", async () => {
    const before = (await gate().getPolicy({})).policy!.revision;
    const names = Array.from({ length: 10 }, (_, i) => `role-${i}`);
    await Promise.all(names.map((name) => commands().setRole({ name, permissions: ["stock.read"] })));
    const { policy } = await gate().getPolicy({ knownRevision: before });
    expect(policy?.revision).toBe(before + 10n);
    expect(policy?.roles.map(({ name }) => name)).toEqual(names);
    expect((await gate().getPolicy({ knownRevision: policy!.revision })).policy).toBeUndefined();
    await Promise.all(names.map((name) => commands().deleteRole({ name })));
  });

  test("never makes it larger than every instance can keep", async () => {
    await mall.db.sql`insert into auth.roles (name, description, permissions, changed_at)
      select 'many-' || n, '', '{}', now() from generate_series(1, 98) n`;
    const set = (name: string) => reasonOf(commands().setRole({ name }));
    const met = await Promise.all(["ra", "rb", "rc", "rd"].map(set));
    expect(met.toSorted()).toEqual(["", "", "POLICY_LIMIT", "POLICY_LIMIT"]);
    expect(await set("many-1")).toBe("");
    await mall.db.sql`delete from auth.roles`;
  });

  test("lists blocked users page by page", async () => {
    const ids = (await Promise.all([1, 2, 3].map(() => someone()))).map(({ id }) => id).sort();
    for (const userId of [...ids, ids[0]!]) await commands().blockUser({ userId });
    const first = await commands().listBlockedUsers({ pageSize: 2 });
    const second = await commands().listBlockedUsers({ pageSize: 2, pageToken: first.nextPageToken });
    expect([...first.userIds, ...second.userIds]).toEqual(ids);
    expect([first.nextPageToken !== "", second.nextPageToken]).toEqual([true, ""]);
    expect(await reasonOf(commands().listBlockedUsers({ pageToken: "nonsense" }))).toBe("VALIDATION");
    const { blockedUserIds } = await gate().getPolicy({});
    expect(blockedUserIds.toSorted()).toEqual(ids);
    for (const userId of ids) await commands().unblockUser({ userId });
  });
});

describe("revocations", () => {
  const since = (at: Date) =>
    gate().getPolicy({ knownRevision: 0n, knownRevocationsAt: timestampFromDate(at) });
  const subjects = async (at: Date) => (await since(at)).revocations.map(({ subject }) => subject);

  test("are told again for half a minute, since a transaction may commit later than it says", async () => {
    const { id } = await someone();
    await revokeTokensOfUser(mall.db, id, mall.clock());
    const told = mall.clock();
    mall.clock.advance(20);
    expect(await subjects(mall.clock())).toContain(id);
    mall.clock.advance(10);
    expect(await subjects(mall.clock())).not.toContain(id);
    expect(await subjects(told)).toContain(id);
  });

  test("of one user are one, with the version of the last", async () => {
    const { id, options } = await someone();
    await Promise.all([1, 2, 3].map(() => revokeTokensOfUser(mall.db, id, mall.clock())));
    const found = (await since(mall.clock())).revocations.filter(({ subject }) => subject === id);
    expect(found.map(({ belowVersion }) => belowVersion)).toEqual([4]);
    expect(await reasonOf(mall.client(AuthService).logout({}, options))).toBe("TOKEN_STALE");
  });

  test("end with the last token, and are deleted then", async () => {
    const { id } = await someone();
    await revokeTokensOfUser(mall.db, id, mall.clock());
    mall.clock.advance(16 * 60 - 1);
    await mall.app.sweep();
    expect(await subjects(new Date(0))).toContain(id);
    mall.clock.advance(1);
    expect(await subjects(new Date(0))).not.toContain(id);
    await mall.app.sweep();
    const [{ n }] = (await mall.db.sql`select count(*)::int as n from auth.revocations`) as [{ n: number }];
    expect(n).toBe(0);
  });
});

describe("keys of machines", () => {
  const keys = () => mall.client(ApiKeyService);
  const verify = (key: string) => mall.client(ApiKeyService, { service: "product" }).verifyApiKey({ key });
  const ask = { name: "machine", scopes: ["stock.read"], ttlDays: 1 };

  test("end by the clock, as does the secret before the last", async () => {
    const { id, options } = await someone("customer", "staff");
    const { key, apiKey } = await keys().createApiKey(ask, options);
    expect(await verify(key)).toMatchObject({
      apiKeyId: apiKey!.id,
      userId: id,
      roles: ["customer", "staff"],
    });
    const rotation = { apiKeyId: apiKey!.id, ttlDays: 2, overlapSeconds: 60 };
    const next = await keys().rotateApiKey(rotation, options);
    mall.clock.advance(59);
    expect([(await verify(key)).userId, (await verify(next.key)).userId]).toEqual([id, id]);
    mall.clock.advance(1);
    expect([(await verify(key)).userId, (await verify(next.key)).userId]).toEqual(["", id]);
    mall.clock.advance(2 * 86_400 - 60);
    expect((await verify(next.key)).userId).toBe("");
  });

  test("note their use once a minute", async () => {
    const { options } = await someone("staff");
    const { key } = await keys().createApiKey(ask, options);
    const lastUsed = async () => (await keys().listApiKeys({}, options)).apiKeys[0]!.lastUsedAt;
    expect(await lastUsed()).toBeUndefined();
    await verify(key);
    const first = await lastUsed();
    mall.clock.advance(59);
    await verify(key);
    expect(await lastUsed()).toEqual(first!);
    mall.clock.advance(1);
    await verify(key);
    expect(await lastUsed()).toEqual(timestampFromDate(mall.clock()));
  });

  test("of one user are 50 at most, however many are made at once", async () => {
    const { options } = await someone("staff");
    for (let made = 0; made < 48; made++) await keys().createApiKey(ask, options);
    const met = await Promise.all([1, 2, 3, 4].map(() => reasonOf(keys().createApiKey(ask, options))));
    expect(met.toSorted()).toEqual(["", "", "API_KEY_LIMIT", "API_KEY_LIMIT"]);
    const page = await keys().listApiKeys({ pageSize: 30 }, options);
    const rest = await keys().listApiKeys({ pageSize: 30, pageToken: page.nextPageToken }, options);
    expect([page.apiKeys.length, rest.apiKeys.length, rest.nextPageToken]).toEqual([30, 20, ""]);
    await keys().revokeApiKey({ apiKeyId: page.apiKeys[0]!.id }, options);
    expect(await reasonOf(keys().createApiKey(ask, options))).toBe("");
  });

  test("are for their user alone", async () => {
    const [owner, other] = [await someone("staff"), await someone("staff")];
    const { apiKey } = await keys().createApiKey(ask, owner.options);
    const apiKeyId = apiKey!.id;
    const met = [
      keys().revokeApiKey({ apiKeyId }, other.options),
      keys().rotateApiKey({ apiKeyId, ttlDays: 1 }, other.options),
    ];
    expect(await Promise.all(met.map(reasonOf))).toEqual(["API_KEY_NOT_FOUND", "API_KEY_NOT_FOUND"]);
    expect((await keys().listApiKeys({}, other.options)).apiKeys).toEqual([]);
  });
});
