import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AuthService, type Tokens } from "@mall/gen/mall/auth/v1/auth_pb";
import { PolicyService, RuleEffect } from "@mall/gen/mall/auth/v1/policy_pb";
import type { Resources } from "@mall/kernel/app";
import { uuidOf } from "@mall/kernel/id";
import { asCommand } from "@mall/kernel/rpc/context";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { bunPasswords } from "./password/bun";
import { createAuthCommands, createAuthService } from "./service";

const password = "correct horse battery";
const cheap = bunPasswords({ memoryKib: 64, passes: 1 });
const client = { address: "192.0.2.7", device: "Lynx/2.9" };
let mall: Harness;
let resources: Resources;
beforeAll(async () => {
  mall = await harness("auth", (given) => {
    resources = given;
    return createAuthService(given, cheap);
  });
});
afterAll(() => mall.stop());

const auth = () => mall.client(AuthService, { client });
const bearer = ({ accessToken }: Tokens) => ({ headers: { authorization: `Bearer ${accessToken}` } });
const failed = (work: Promise<unknown>) =>
  work.then(
    () => expect.unreachable(),
    () => {},
  );
const refresh = async ({ refreshToken }: Tokens) => (await auth().refreshToken({ refreshToken })).tokens!;
let people = 0;

/** Somebody who has just registered. */
async function someone() {
  const email = `person-${++people}@example.com`;
  const { user, tokens } = await auth().register({ email, password });
  const sessionId = tokens!.refreshToken.split(".")[0]!;
  return { email, userId: user!.id, tokens: tokens!, sessionId };
}

/** What is in the log about some ids, oldest first. */
async function eventsAbout(...subjects: string[]) {
  const events = (await mall.audit({ limit: 1000 })).filter((e) => e.subject && subjects.includes(e.subject));
  return events
    .reverse()
    .map(({ action, reason = "ok", actor }) => [action, reason, actor.id ?? actor.kind].join(" "));
}

/** The newest event, when something has happened a second after all before. */
async function newestAfter(happens: () => Promise<unknown>) {
  mall.clock.advance(1);
  await happens();
  return (await mall.audit({ since: mall.clock() })).map(({ id: _, at: __, requestId, ...event }) => {
    expect(requestId).toMatch(/^[0-9a-f-]{36}$/);
    return event;
  });
}

describe("the audit log tells", () => {
  test("who registered, with address and session, and that an address was taken", async () => {
    let made: Awaited<ReturnType<typeof someone>> | undefined;
    const [event] = await newestAfter(async () => {
      made = await someone();
    });
    const { userId, email, sessionId } = made!;
    expect(event).toEqual({
      ...{ action: "Register", outcome: "ok", reason: undefined, subject: userId },
      ...{ actor: { kind: "user", id: userId }, clientAddress: client.address, metadata: { sessionId } },
      sequence: undefined,
    });
    const [refused] = await newestAfter(() => failed(auth().register({ email, password })));
    expect(refused).toMatchObject({ action: "Register", reason: "EMAIL_TAKEN", actor: { kind: "guest" } });
  });

  test("sign-ins, and refused ones alike for a wrong password and an unknown account", async () => {
    const { email, userId } = await someone();
    const [event] = await newestAfter(() => auth().login({ email, password }));
    expect(event).toMatchObject({
      ...{ action: "Login", outcome: "ok", actor: { kind: "user", id: userId } },
      ...{ subject: expect.stringMatching(/^ses_/), clientAddress: client.address },
    });
    const wrong = await newestAfter(() => failed(auth().login({ email, password: "wrong password" })));
    const unknown = await newestAfter(() => failed(auth().login({ email: "nobody@example.com", password })));
    const refused = { action: "Login", outcome: "refused", reason: "INVALID_CREDENTIALS" };
    for (const [found] of [wrong, unknown])
      expect(found).toMatchObject({ ...refused, actor: { kind: "guest" }, clientAddress: client.address });
    expect([wrong, unknown].map((found) => found.map(({ subject }) => subject))).toEqual([
      [userId],
      [undefined],
    ]);
  });

  test("each rotation once, and who used a token again", async () => {
    const { tokens, sessionId, userId } = await someone();
    const next = await refresh(tokens);
    mall.clock.advance(1);
    await refresh(tokens);
    mall.clock.advance(20);
    await failed(refresh(tokens));
    mall.clock.advance(1);
    await failed(refresh(next));
    expect(await eventsAbout(sessionId)).toEqual([
      `RefreshToken ok ${userId}`,
      "RefreshToken REFRESH_TOKEN_REUSED guest",
      "RefreshToken UNAUTHENTICATED guest",
    ]);
  });

  test("nothing of tokens that were never ours", async () => {
    const { tokens } = await someone();
    const forged = tokens.refreshToken.replace(/.{5}$/, "AAAAA");
    const found = await newestAfter(() => failed(auth().refreshToken({ refreshToken: forged })));
    expect(found).toEqual([]);
  });

  test("20 parallel refreshes as one", async () => {
    const { tokens, sessionId } = await someone();
    await Promise.all(Array.from({ length: 20 }, () => refresh(tokens)));
    expect(await eventsAbout(sessionId)).toHaveLength(1);
  });

  test("a sign-out, once", async () => {
    const { tokens, sessionId, userId } = await someone();
    await auth().logout({}, bearer(tokens));
    await auth()
      .logout({}, bearer(tokens))
      .catch(() => {});
    expect(await eventsAbout(sessionId)).toEqual([`Logout ok ${userId}`]);
  });

  test("each change of the policy, and none that was refused", async () => {
    const { userId } = await someone();
    const policy = mall.client(PolicyService, { service: "mall" });
    mall.clock.advance(1);
    const since = mall.clock();
    const rule = { name: "quiet", effect: RuleEffect.DENY, pattern: "/v1/orders/**" };
    const changes: (() => Promise<unknown>)[] = [
      () => policy.setRole({ name: "packer", permissions: ["stock.adjust"] }),
      () => policy.setRule(rule),
      () => policy.deleteRule({ name: rule.name }),
      () => failed(policy.deleteRule({ name: rule.name })),
      () => policy.deleteRole({ name: "packer" }),
      () => policy.blockUser({ userId }),
      () => policy.unblockUser({ userId }),
    ];
    for (const change of changes) {
      await change();
      mall.clock.advance(1);
    }
    const events = (await mall.audit({ since })).reverse();
    expect(
      events.map(({ action, outcome, actor, subject }) => [action, outcome, actor.kind, subject]),
    ).toEqual([
      ["SetRole", "ok", "command", "packer"],
      ["SetRule", "ok", "command", "quiet"],
      ["DeleteRule", "ok", "command", "quiet"],
      ["DeleteRole", "ok", "command", "packer"],
      ["BlockUser", "ok", "command", userId],
      ["UnblockUser", "ok", "command", userId],
    ]);
  });

  test("who became an administrator by command, new or known", async () => {
    const known = await someone();
    const { createAdmin } = createAuthCommands(resources, cheap);
    const email = `boss-${++people}@example.com`;
    mall.clock.advance(1);
    for (const address of [known.email, email]) await asCommand(() => createAdmin(address));
    const { user } = await auth().login({ email: known.email, password });
    expect((await eventsAbout(user!.id)).at(-1)).toBe("CreateAdmin ok command");
    const made = (await mall.audit({ action: "CreateAdmin" })).map(({ subject }) => subject);
    expect(new Set(made).size).toBe(2);
  });

  test("who tried what only others may, but no strangers' knocking", async () => {
    const { tokens, userId } = await someone();
    const asked = { userId };
    const [event, ...others] = await newestAfter(() => failed(auth().getAccount(asked, bearer(tokens))));
    expect(others).toEqual([]);
    expect(event).toMatchObject({
      ...{ action: "GetAccount", reason: "FORBIDDEN", actor: { kind: "user", id: userId } },
      clientAddress: client.address,
    });
    expect(await newestAfter(() => failed(auth().getAccount(asked)))).toEqual([]);
    expect(await newestAfter(() => failed(auth().logout({})))).toEqual([]);
  });

  test("no address, name or password", async () => {
    const { email, tokens } = await someone();
    await failed(auth().login({ email, password: "wrong secret" }));
    const rows = await mall.db.sql`select e::text as row from auth.audit_events e`;
    const text = rows.map(({ row }) => row).join("\n");
    const secret = tokens.refreshToken.split(".")[2]!;
    for (const hidden of [email, "example.com", password, "wrong secret", client.address, secret])
      expect(text).not.toContain(hidden);
  });
});

test("nothing happens that the log cannot tell of", async () => {
  const { email, tokens, sessionId, userId } = await someone();
  const next = await refresh(tokens);
  mall.clock.advance(11);
  const sessions = () => mall.db.sql`
    select count(*)::int as n, count(revoked_at)::int as revoked from auth.sessions
    where user_id = ${uuidOf(userId)}`;
  const logWritable = (change: "grant insert on %t to" | "revoke insert on %t from") =>
    mall.db.tx(async ({ sql }) => {
      await sql.unsafe("set local role none");
      await sql.unsafe(`${change.replace("%t", "auth.audit_events")} mall_auth`);
    });
  await logWritable("revoke insert on %t from");
  try {
    const attempts = [
      () => auth().login({ email, password }),
      () => refresh(next),
      () => refresh(tokens),
      () => auth().logout({}, bearer(tokens)),
      () => auth().register({ email: `new-${email}`, password }),
    ];
    for (const attempt of attempts) await failed(attempt());
    expect([...(await sessions())]).toEqual([{ n: 1, revoked: 0 }]);
  } finally {
    await logWritable("grant insert on %t to");
  }
  expect((await refresh(next)).refreshToken).toStartWith(`${sessionId}.3.`);
  await auth().register({ email: `new-${email}`, password });
});

test("the sweep seals what has happened", async () => {
  const { userId } = await someone();
  await mall.app.sweep();
  expect((await mall.audit({ subject: userId }))[0]!.sequence).toBeGreaterThan(0);
});
