import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ConnectError } from "@connectrpc/connect";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { SessionService } from "@mall/gen/mall/auth/v1/sessions_pb";
import { fault } from "@mall/kernel/fault";
import { uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { reasonOf, refusal } from "@mall/kernel/testing/refusal";
import { attemptWindows } from "./domain/attempts";
import { bunPasswords } from "./password/bun";
import type { Passwords } from "./password/port";
import { createAuthService } from "./service";

const password = "correct horse battery";
/** How many passwords were looked at. */
let verified = 0;
let isOverloaded = false;
const cheap = bunPasswords({ memoryKib: 64, passes: 1 });
const passwords: Passwords = {
  ...cheap,
  verify(text, phc) {
    if (isOverloaded) throw fault("unavailable", "OVERLOADED", "too many");
    verified++;
    return cheap.verify(text, phc);
  },
};

let mall: Harness;
beforeAll(async () => {
  mall = await harness("auth", (given) => createAuthService(given, passwords));
});
afterAll(() => mall.stop());

let people = 0;
let addresses = 0;
const newAddress = () => `192.0.2.${++addresses}`;

/** The auth service as a client at an address reaches it. */
const from = (address?: string, device = "Firefox") =>
  mall.client(AuthService, { client: { address, device } });

/** Somebody who has just registered from an address, and the sessions in their name. */
async function someone(address = newAddress()) {
  const email = `person-${++people}@example.com`;
  const { user, tokens } = await from(address).register({ email, password });
  const headersOf = (accessToken: string) => ({ headers: { authorization: `Bearer ${accessToken}` } });
  const signIn = async (at = address, device?: string) =>
    (await from(at, device).login({ email, password })).tokens!;
  const guess = (at?: string, text = "wrong horse") => reasonOf(from(at).login({ email, password: text }));
  return { id: user!.id, email, tokens: tokens!, headersOf, signIn, guess, address };
}

const sessions = () => mall.client(SessionService);
const inside = () => mall.client(SessionService, { service: "user" });

describe("the sessions of a user", () => {
  test("are listed with device, address and last use, and which one asks", async () => {
    const { tokens, signIn, headersOf, email } = await someone("203.0.113.7");
    mall.clock.advance(60);
    const other = await signIn("2001:db8::1", "curl/8");
    mall.clock.advance(60);
    await from("198.51.100.9", "Firefox 2").refreshToken({ refreshToken: tokens.refreshToken });
    const listed = (await sessions().listSessions({}, headersOf(other.accessToken))).sessions;
    const at = (seconds: number) => BigInt(Math.floor(mall.clock().getTime() / 1000) - seconds);
    expect(
      listed.map(({ device, address, isCurrent, createdAt, lastUsedAt }) => [
        ...[device, address, isCurrent, createdAt!.seconds, lastUsedAt!.seconds],
      ]),
    ).toEqual([
      ["Firefox 2", "198.51.100.9", false, at(120), at(0)],
      ["curl/8", "2001:db8::1", true, at(60), at(60)],
    ]);
    const rows = await mall.db.sql`select s::text as text from auth.sessions s`;
    for (const trace of ["198.51.100.9", "2001:db8::1", "curl/8", email])
      expect(rows.map(({ text }) => text).join()).not.toContain(trace);
  });

  test("end one by one, and only for their owner", async () => {
    const [person, other] = [await someone(), await someone()];
    mall.clock.advance(1);
    const kept = await person.signIn();
    const options = person.headersOf(kept.accessToken);
    const [, first] = (await sessions().listSessions({}, options)).sessions;
    const theirs = other.headersOf(other.tokens.accessToken);
    const gone = { code: "NotFound", reason: "SESSION_NOT_FOUND" };
    expect(await refusal(sessions().revokeSession({ sessionId: first!.id }, theirs))).toEqual(gone);
    await sessions().revokeSession({ sessionId: first!.id }, options);
    expect(await refusal(sessions().revokeSession({ sessionId: first!.id }, options))).toEqual(gone);
    const { refreshToken, accessToken } = person.tokens;
    expect(await reasonOf(from().refreshToken({ refreshToken }))).toBe("UNAUTHENTICATED");
    expect(await reasonOf(sessions().listSessions({}, person.headersOf(accessToken)))).toBe(
      "UNAUTHENTICATED",
    );
    expect((await sessions().listSessions({}, options)).sessions).toHaveLength(1);
    const events = await mall.audit({ action: "RevokeSession", subject: first!.id });
    expect(events.map(({ outcome }) => outcome).sort()).toEqual(["ok", "refused", "refused"]);
  });

  test("end all at once, also the one that asks, and nobody else's", async () => {
    const [person, other] = [await someone(), await someone()];
    const tokens = [person.tokens, await person.signIn(), await person.signIn()];
    await sessions().logoutAll({}, person.headersOf(tokens[1]!.accessToken));
    for (const { accessToken, refreshToken } of tokens) {
      expect(await reasonOf(sessions().listSessions({}, person.headersOf(accessToken)))).toBe(
        "UNAUTHENTICATED",
      );
      expect(await reasonOf(from().refreshToken({ refreshToken }))).toBe("UNAUTHENTICATED");
    }
    const theirs = other.headersOf(other.tokens.accessToken);
    expect((await sessions().listSessions({}, theirs)).sessions).toHaveLength(1);
    expect(await mall.audit({ action: "LogoutAll", subject: person.id })).toMatchObject([
      { metadata: { sessions: 3 } },
    ]);
    expect((await person.signIn()).accessToken).toBeString();
  });

  test("are told to services as they are now, and so are tokens", async () => {
    const { id, tokens, headersOf, signIn } = await someone();
    const { accessToken } = tokens;
    const [session] = (await sessions().listSessions({}, headersOf(accessToken))).sessions;
    const sessionId = session!.id;
    expect(await inside().getSessionStatus({ sessionId })).toMatchObject({ userId: id, isLive: true });
    expect(await inside().validateToken({ accessToken })).toMatchObject({
      ...{ active: true, userId: id, sessionId, roles: ["customer"], reason: "" },
    });
    const other = await signIn();
    await sessions().logoutAll({}, headersOf(accessToken));
    expect(await inside().getSessionStatus({ sessionId })).toMatchObject({ isLive: false });
    for (const token of [accessToken, other.accessToken, `${accessToken}x`, "none"])
      expect(await inside().validateToken({ accessToken: token })).toMatchObject({
        ...{ active: false, userId: "", reason: "UNAUTHENTICATED" },
      });
    const stale = await signIn();
    await mall.db.sql`update auth.accounts set token_version = token_version + 1 where id = ${uuidOf(id)}`;
    expect(await inside().validateToken({ accessToken: stale.accessToken })).toMatchObject({
      ...{ active: false, reason: "TOKEN_STALE" },
    });
    const unknown = mall.newId("ses");
    expect(await reasonOf(inside().getSessionStatus({ sessionId: unknown }))).toBe("SESSION_NOT_FOUND");
    mall.clock.advance(901);
    expect(await inside().validateToken({ accessToken: stale.accessToken })).toMatchObject({
      ...{ active: false, reason: "TOKEN_EXPIRED" },
    });
  });
});

test("a session that has expired is not listed, cannot be ended, and is not live", async () => {
  const { tokens, headersOf, signIn } = await someone();
  const [first] = (await sessions().listSessions({}, headersOf(tokens.accessToken))).sessions;
  mall.clock.advance(31 * 86_400);
  const fresh = headersOf((await signIn()).accessToken);
  expect((await sessions().listSessions({}, fresh)).sessions.map(({ id }) => id)).not.toContain(first!.id);
  expect(await reasonOf(sessions().revokeSession({ sessionId: first!.id }, fresh))).toBe("SESSION_NOT_FOUND");
  expect(await inside().getSessionStatus({ sessionId: first!.id })).toMatchObject({ isLive: false });
});

test("the token of a blocked user is not good", async () => {
  const { id, tokens } = await someone();
  await mall.client(PolicyService, { service: "mall" }).blockUser({ userId: id });
  expect(await inside().validateToken({ accessToken: tokens.accessToken })).toMatchObject({
    ...{ active: false, reason: "USER_BLOCKED" },
  });
});

describe("wrong passwords", () => {
  const { pair, account, address: anAddress } = attemptWindows;

  test("are bounded from one address, and the right one is then not looked at either, until the window moves on", async () => {
    const { guess, signIn, address } = await someone();
    for (let n = 0; n < pair.most; n++) expect(await guess(address)).toBe("INVALID_CREDENTIALS");
    const before = verified;
    expect(await guess(address, password)).toBe("RATE_LIMITED");
    expect(verified - before).toBe(0);
    mall.clock.advance(pair.seconds + 1);
    expect((await signIn(address)).accessToken).toBeString();
  });

  test("answer and cost the same for an account that does not exist", async () => {
    const { email, address } = await someone();
    const outcomes = [];
    for (const tried of [email, `nobody-${email}`, "no address at all"]) {
      const at = newAddress();
      const before = verified;
      const reasons = [];
      for (let n = 0; n <= pair.most; n++)
        reasons.push(await refusal(from(at).login({ email: tried, password: "wrong horse" })));
      outcomes.push({ reasons, verified: verified - before });
    }
    expect(outcomes[1]).toEqual(outcomes[0]!);
    expect(outcomes[2]).toEqual(outcomes[0]!);
    expect(outcomes[0]!.verified).toBe(pair.most);
    expect(outcomes[0]!.reasons.at(-1)).toEqual({ code: "ResourceExhausted", reason: "RATE_LIMITED" });
    expect(address).toBeString();
  });

  test("say when to try again, and the refusal is audited", async () => {
    const { email, address } = await someone();
    for (let n = 0; n < pair.most; n++)
      await reasonOf(from(address).login({ email, password: "wrong horse" }));
    mall.clock.advance(100);
    const error = await from(address)
      .login({ email, password })
      .then(
        () => undefined,
        (thrown: ConnectError) => thrown,
      );
    expect(error!.metadata.get("retry-after")).toBe(String(pair.seconds - 100));
    const [event] = await mall.audit({ action: "Login", outcome: "refused" });
    expect(event).toMatchObject({ reason: "RATE_LIMITED", actor: { kind: "guest" } });
  });

  test("that come at once are counted like one after the other", async () => {
    const { guess, address } = await someone();
    const reasons = await Promise.all(Array.from({ length: 30 }, () => guess(address)));
    expect(reasons.filter((reason) => reason === "INVALID_CREDENTIALS")).toHaveLength(pair.most);
    expect(reasons.filter((reason) => reason === "RATE_LIMITED")).toHaveLength(30 - pair.most);
  });

  test("from everywhere bound an account, but never shut out its owner where they signed in before", async () => {
    const { guess, signIn, address } = await someone();
    await signIn(address);
    for (let n = 0; n < account.most; n++) expect(await guess(newAddress())).toBe("INVALID_CREDENTIALS");
    expect(await guess(newAddress())).toBe("RATE_LIMITED");
    expect(await guess(newAddress(), password)).toBe("RATE_LIMITED");
    expect((await signIn(address)).accessToken).toBeString();
    mall.clock.advance(account.seconds + 1);
    expect((await signIn(newAddress())).accessToken).toBeString();
  });

  test("are not what many right ones at once are", async () => {
    const { signIn, address } = await someone();
    const reasons = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        await Bun.sleep(n);
        return reasonOf(signIn(address));
      }),
    );
    // a machine with other work may not hash twenty passwords in time
    for (const reason of reasons) expect(reason).toMatch(/^$|RATE_LIMITED|OVERLOADED|deadline/i);
    // those go on, and do not count once they end; had they counted, the clock that stands would keep them
    for (let tries = 0; tries < 300 && (await reasonOf(signIn(address))) !== ""; tries++)
      await Bun.sleep(100);
    for (let n = 0; n < 5; n++) expect(await reasonOf(signIn(address))).toBe("");
    // what a server process counted is shown a second later
    await Bun.sleep(1_200);
    const [stats] = await mall.db.sql.unsafe(
      "select deadlocks::int from pg_stat_database where datname = current_database()",
    );
    expect(stats!.deadlocks).toBe(0);
  });

  test("are counted by the /64 of an IPv6 address", async () => {
    const guess = (n: number) =>
      reasonOf(
        from(`2001:db8:0:7::${n.toString(16)}`).login({
          ...{ email: `rotating-${n}@example.com`, password: "wrong horse" },
        }),
      );
    for (let n = 0; n < anAddress.most; n++) expect(await guess(n)).toBe("INVALID_CREDENTIALS");
    expect(await guess(anAddress.most)).toBe("RATE_LIMITED");
  });

  test("that nobody looked at do not count", async () => {
    const { guess, signIn, address } = await someone();
    isOverloaded = true;
    for (let n = 0; n < 2 * pair.most; n++) expect(await guess(address)).toBe("OVERLOADED");
    isOverloaded = false;
    expect((await signIn(address)).accessToken).toBeString();
  });

  test("asked for once more are bounded, too, and forgiven by the right one", async () => {
    const { id: userId } = await someone();
    const verify = (text: string) =>
      reasonOf(mall.client(AuthService, { service: "user" }).verifyPassword({ userId, password: text }));
    for (let round = 0; round < 2; round++) {
      for (let n = 1; n < pair.most; n++) expect(await verify("wrong horse")).toBe("INVALID_CREDENTIALS");
      expect(await verify(password)).toBe("");
    }
    for (let n = 0; n < pair.most; n++) expect(await verify("wrong horse")).toBe("INVALID_CREDENTIALS");
    expect(await verify(password)).toBe("RATE_LIMITED");
  });

  test("of many accounts are bounded for one address", async () => {
    const at = newAddress();
    const guess = (n: number) =>
      reasonOf(from(at).login({ email: `spray-${n}@example.com`, password: "wrong horse" }));
    for (let n = 0; n < anAddress.most; n++) expect(await guess(n)).toBe("INVALID_CREDENTIALS");
    expect(await guess(anAddress.most)).toBe("RATE_LIMITED");
    const { signIn } = await someone();
    expect(await reasonOf(signIn(at))).toBe("RATE_LIMITED");
    expect((await signIn(newAddress())).accessToken).toBeString();
  });

  test("are forgiven by the right one, which never counts itself", async () => {
    const { guess, signIn, address } = await someone();
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < pair.most - 1; n++) expect(await guess(address)).toBe("INVALID_CREDENTIALS");
      await signIn(address);
    }
    for (let n = 0; n < 2 * pair.most; n++) await signIn(address);
  });

  test("leave nothing behind once their windows are over", async () => {
    const { guess } = await someone();
    await guess(newAddress());
    mall.clock.advance(31 * 86_400);
    await mall.app.sweep();
    expect(await mall.db.sql`select 1 from auth.login_attempts`).toHaveLength(0);
  });
});
