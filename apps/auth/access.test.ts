import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { AccountService, UserStatus } from "@mall/gen/mall/auth/v1/accounts_pb";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { ApiKeyService } from "@mall/gen/mall/auth/v1/keys_pb";
import { PasswordService } from "@mall/gen/mall/auth/v1/passwords_pb";
import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { decodeJwt } from "jose";
import { bunPasswords } from "./password/bun";
import type { Passwords } from "./password/port";
import { createAuthService } from "./service";

const password = "correct horse battery";
const cheap = bunPasswords({ memoryKib: 64, passes: 1 });
/** What happens elsewhere while a password is verified. */
let meanwhile = async () => {};
const passwords: Passwords = {
  ...cheap,
  async verify(text, phc) {
    const matches = await cheap.verify(text, phc);
    await meanwhile();
    return matches;
  },
};
let mall: Harness;
beforeAll(async () => {
  mall = await harness("auth", (given) => createAuthService(given, passwords));
});
afterAll(() => mall.stop());
beforeEach(async () => {
  meanwhile = async () => {};
  // each test makes its own administrators
  await mall.db.sql`update auth.accounts set roles = array_remove(roles, 'admin')`;
});

type Caller = { headers: { authorization: string } };
const auth = () => mall.client(AuthService);
const access = () => mall.client(AccountService, { service: "mall" });
const as = ({ accessToken }: { accessToken: string }): Caller => ({
  headers: { authorization: `Bearer ${accessToken}` },
});
const signIn = async (email: string) => (await auth().login({ email, password })).tokens!;
let people = 0;

/** Somebody with these roles beside customer, signed in. */
async function someone(...roles: string[]) {
  const email = `person-${++people}@example.com`;
  const { user } = await auth().register({ email, password });
  const id = user!.id;
  if (roles.length > 0)
    await mall.db.sql`update auth.accounts set roles = ${`{customer,${roles}}`} where id = ${uuidOf(id)}`;
  const tokens = await signIn(email);
  return { id, email, tokens, caller: as(tokens) };
}

const ban = (userId: string, reason = "fraud", options?: Caller) =>
  (options ? mall.client(AccountService) : access()).setUserStatus(
    { userId, reason, status: UserStatus.BANNED },
    options,
  );
const unban = (userId: string) =>
  access().setUserStatus({ userId, reason: "appeal", status: UserStatus.ACTIVE });
const rolesOf = async (userId: string) => (await access().getUserAccess({ userId })).access!.roles;
const eventsOf = async (subject: string, action: string) =>
  (await mall.audit({ subject, action })).map(({ outcome, reason, metadata, actor }) => ({
    outcome,
    reason,
    metadata,
    actor: actor.kind,
  }));

describe("a ban", () => {
  test("ends tokens, sessions and API keys at once, and lets nobody sign in until it is lifted", async () => {
    const { id, email, tokens, caller } = await someone("staff");
    const keys = () => mall.client(ApiKeyService);
    const made = await keys().createApiKey({ name: "machine", scopes: ["stock.read"], ttlDays: 1 }, caller);
    const { key } = made;
    const verified = async () =>
      (await mall.client(ApiKeyService, { service: "product" }).verifyApiKey({ key })).userId;
    expect(await verified()).toBe(id);
    const banned = await ban(id);
    expect(banned.access).toMatchObject({ status: UserStatus.BANNED, banReason: "fraud" });

    expect(await reasonOf(auth().logout({}, caller))).toBe("UNAUTHENTICATED");
    const { refreshToken } = tokens;
    expect(await reasonOf(auth().refreshToken({ refreshToken }))).toBe("UNAUTHENTICATED");
    expect(await reasonOf(signIn(email))).toBe("USER_BLOCKED");
    expect(await reasonOf(auth().login({ email, password: "a wrong horse" }))).toBe("INVALID_CREDENTIALS");
    expect(await verified()).toBe("");

    expect((await unban(id)).access).toMatchObject({ status: UserStatus.ACTIVE, banReason: "" });
    expect(await reasonOf(signIn(email))).toBe("");
    expect(await verified()).toBe(id);
    expect(await reasonOf(auth().refreshToken({ refreshToken }))).toBe("UNAUTHENTICATED");
  });

  test("is an event with its reason, each change once, and so is who tried to sign in", async () => {
    const { id, email } = await someone();
    for (const change of [
      () => ban(id),
      () => ban(id),
      () => ban(id, "spam"),
      () => unban(id),
      () => unban(id),
    ]) {
      await change();
      mall.clock.advance(1);
    }
    await ban(id);
    await reasonOf(signIn(email));
    const done = { outcome: "ok", actor: "command" } as const;
    expect(await eventsOf(id, "SetUserStatus")).toMatchObject([
      { ...done, metadata: { isBanned: true, reason: "fraud" } },
      { ...done, metadata: { isBanned: false, reason: "appeal" } },
      { ...done, metadata: { isBanned: true, reason: "spam" } },
      { ...done, metadata: { isBanned: true, reason: "fraud" } },
    ]);
    expect(await eventsOf(id, "Login")).toMatchObject([{ outcome: "refused", reason: "USER_BLOCKED" }]);
  });

  test("that comes while somebody signs in wins", async () => {
    const { id, email } = await someone();
    meanwhile = async () => {
      meanwhile = async () => {};
      await ban(id);
    };
    expect(await reasonOf(signIn(email))).toBe("USER_BLOCKED");
    const live = await mall.db
      .sql`select 1 from auth.sessions where user_id = ${uuidOf(id)} and revoked_at is null`;
    expect(live).toHaveLength(0);
  });

  test("is not got round by another password", async () => {
    const { id, email, caller } = await someone();
    await ban(id);
    const change = { currentPassword: password, newPassword: "a stapler of another horse" };
    expect(await reasonOf(mall.client(PasswordService).changePassword(change, caller))).toBe(
      "UNAUTHENTICATED",
    );
    expect(await reasonOf(mall.client(PasswordService).requestPasswordReset({ email }))).toBe("");
    const [{ userId }] = (await mall.db.sql`select (select a.id from auth.accounts a
      where a.email_lookup = r.email_lookup) as "userId" from auth.password_resets r`) as never as [
      { userId: string },
    ];
    expect(userId).toBe(uuidOf(id));
    await mall.app.sweep();
    expect(await eventsOf(id, "MailPasswordReset")).toEqual([]);
  });

  test("needs a reason that is a word, and an account", async () => {
    const { id } = await someone();
    for (const reason of ["", "Fraud", "he said so", "x".repeat(41)])
      expect(await reasonOf(ban(id, reason))).toBe("VALIDATION");
    const none = { userId: id, reason: "fraud" };
    expect(await reasonOf(access().setUserStatus(none))).toBe("VALIDATION");
    expect(await reasonOf(access().setUserStatus({ ...none, status: 9 as UserStatus }))).toBe("VALIDATION");
    expect(await reasonOf(ban(mall.newId("usr")))).toBe("ACCOUNT_NOT_FOUND");
    expect(await reasonOf(access().getUserAccess({ userId: mall.newId("usr") }))).toBe("ACCOUNT_NOT_FOUND");
  });
});

describe("a role", () => {
  const grant = (userId: string, role: string) => access().grantRole({ userId, role });
  const revoke = (userId: string, role: string) => access().revokeRole({ userId, role });

  test("acts at once: tokens of before are stale, refreshed ones have it or have it no more", async () => {
    const { id, tokens, caller } = await someone();
    expect((await grant(id, "staff")).access?.roles).toEqual(["customer", "staff"]);
    expect(await reasonOf(auth().logout({}, caller))).toBe("TOKEN_STALE");
    const next = (await auth().refreshToken({ refreshToken: tokens.refreshToken })).tokens!;
    expect(decodeJwt(next.accessToken).roles).toEqual(["customer", "staff"]);
    expect((await revoke(id, "staff")).access?.roles).toEqual(["customer"]);
    expect(await reasonOf(auth().logout({}, as(next)))).toBe("TOKEN_STALE");
    const last = (await auth().refreshToken({ refreshToken: next.refreshToken })).tokens!;
    expect(decodeJwt(last.accessToken).roles).toEqual(["customer"]);
    expect(await reasonOf(auth().logout({}, as(last)))).toBe("");
  });

  test("that operators defined can be granted, and no other", async () => {
    const { id } = await someone();
    expect(await reasonOf(grant(id, "packer"))).toBe("ROLE_NOT_FOUND");
    await mall
      .client(PolicyService, { service: "mall" })
      .setRole({ name: "packer", permissions: ["stock.read"] });
    await grant(id, "packer");
    expect(await rolesOf(id)).toEqual(["customer", "packer"]);
    await mall.client(PolicyService, { service: "mall" }).deleteRole({ name: "packer" });
    expect((await revoke(id, "packer")).access?.roles).toEqual(["customer"]);
    for (const change of [grant, revoke]) expect(await reasonOf(change(id, "customer"))).toBe("VALIDATION");
  });

  test("again changes nothing: tokens stay good, and nothing is written down", async () => {
    const { id, caller } = await someone("staff");
    await grant(id, "staff");
    await revoke(id, "admin");
    expect(await reasonOf(auth().logout({}, caller))).toBe("");
    expect([...(await eventsOf(id, "GrantRole")), ...(await eventsOf(id, "RevokeRole"))]).toEqual([]);
    await revoke(id, "staff");
    expect(await eventsOf(id, "RevokeRole")).toMatchObject([{ metadata: { role: "staff" }, outcome: "ok" }]);
  });

  test("is one of 20 at most, however many are granted at once", async () => {
    const { id } = await someone();
    const names = Array.from({ length: 22 }, (_, i) => `many-${i}`);
    await mall.db.sql`insert into auth.roles (name, description, permissions, changed_at)
      select 'many-' || n, '', '{}', now() from generate_series(0, 21) n`;
    const met = await Promise.all(names.map((name) => reasonOf(grant(id, name))));
    expect(met.filter((reason) => reason === "ROLE_LIMIT")).toHaveLength(3);
    expect(await rolesOf(id)).toHaveLength(20);
    await mall.db.sql`delete from auth.roles`;
  });

  test("of an account that never was a customer is replaced by that", async () => {
    const { id } = await someone("staff");
    await mall.db.sql`update auth.accounts set roles = '{staff}' where id = ${uuidOf(id)}`;
    expect((await revoke(id, "staff")).access?.roles).toEqual(["customer"]);
  });

  test("is the administrators' to give: nobody else may, nor see who has which", async () => {
    const [customer, staff] = [await someone(), await someone("staff")];
    const client = mall.client(AccountService);
    for (const { id, caller } of [customer, staff]) {
      const tries = [
        client.grantRole({ userId: id, role: "admin" }, caller),
        client.revokeRole({ userId: id, role: "staff" }, caller),
        client.getUserAccess({ userId: id }, caller),
        ban(id, "fraud", caller),
      ];
      expect(await Promise.all(tries.map(reasonOf))).toEqual(tries.map(() => "FORBIDDEN"));
    }
  });
});

describe("the last administrator", () => {
  const revoke = (userId: string) => access().revokeRole({ userId, role: "admin" });

  test("stays one, and is not banned, which is written down", async () => {
    const { id } = await someone("admin");
    const banned = await someone("admin");
    await ban(banned.id);
    expect(await reasonOf(revoke(id))).toBe("LAST_ADMIN");
    expect(await reasonOf(ban(id))).toBe("LAST_ADMIN");
    expect(await rolesOf(id)).toEqual(["customer", "admin"]);
    for (const action of ["RevokeRole", "SetUserStatus"])
      expect(await eventsOf(id, action)).toMatchObject([{ outcome: "refused", reason: "LAST_ADMIN" }]);
    await unban(banned.id);
    expect(await reasonOf(revoke(id))).toBe("");
  });

  test("is left however many are taken away at once", async () => {
    const admins = [await someone("admin"), await someone("admin"), await someone("admin")];
    const tries = admins.flatMap(({ id }) => [reasonOf(revoke(id)), reasonOf(ban(id))]);
    expect((await Promise.all(tries)).filter((reason) => reason === "LAST_ADMIN")).not.toEqual([]);
    const left = await mall.db
      .sql`select 1 from auth.accounts where 'admin' = any(roles) and banned_at is null`;
    expect(left).toHaveLength(1);
  });
});
