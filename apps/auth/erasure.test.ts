import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { ApiKeyService } from "@mall/gen/mall/auth/v1/keys_pb";
import { uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { refusal } from "@mall/kernel/testing/refusal";
import { bunPasswords } from "./password/bun";
import type { Passwords } from "./password/port";
import { createAuthService } from "./service";

const password = "correct horse battery";
/** How many passwords were looked at. */
let verified = 0;
/** Holds the next verification up after it is done, until it is called. */
let hold: Promise<void> | undefined;
const cheap = bunPasswords({ memoryKib: 64, passes: 1 });
const passwords: Passwords = {
  ...cheap,
  async verify(text, phc) {
    verified++;
    const matches = await cheap.verify(text, phc);
    await hold;
    return matches;
  },
};

let mall: Harness;
beforeAll(async () => {
  mall = await harness("auth", (resources) => createAuthService(resources, passwords));
});
afterAll(() => mall.stop());

const auth = () => mall.client(AuthService);
const inside = () => mall.client(AuthService, { service: "user" });
let people = 0;

/** Somebody who has just registered, with a name like nobody else's. */
async function someone() {
  const email = `person-${++people}@example.com`;
  const displayName = `Somebody No. ${people}.`;
  const { user, tokens } = await auth().register({ email, password, displayName });
  const headers = { authorization: `Bearer ${tokens!.accessToken}` };
  return { id: user!.id, email, displayName, tokens: tokens!, headers };
}

/** What the user service tells when somebody was deleted. */
const deleted = (userId: string, id: string = crypto.randomUUID()) =>
  mall.app.handle({ id, type: "mall.user.v1.UserDeleted", data: { userId } });

const wrong = { code: "Unauthenticated", reason: "INVALID_CREDENTIALS" };

describe("a password asked for once more", () => {
  test("is the account's or is refused, which the audit log tells", async () => {
    const { id: userId } = await someone();
    expect(await refusal(inside().verifyPassword({ userId, password }))).toEqual({});
    expect(await refusal(inside().verifyPassword({ userId, password: "wrong horse" }))).toEqual(wrong);
    const [event, ...more] = await mall.audit({ subject: userId, outcome: "refused" });
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      action: "VerifyPassword",
      outcome: "refused",
      reason: "INVALID_CREDENTIALS",
    });
  });

  test("costs and answers the same for an account that is gone or never was", async () => {
    const { id: gone } = await someone();
    await deleted(gone);
    for (const userId of [gone, mall.newId("usr")]) {
      const before = verified;
      expect(await refusal(inside().verifyPassword({ userId, password }))).toEqual(wrong);
      expect(verified - before).toBe(1);
    }
  });
});

describe("an account whose user was deleted", () => {
  test("is nobody's: tokens, sessions, keys, address, name and password are gone", async () => {
    const person = await someone();
    const { headers } = person;
    await deleted(person.id);
    expect(await refusal(auth().logout({}, { headers }))).toMatchObject({ reason: "TOKEN_STALE" });
    const { refreshToken } = person.tokens;
    expect(await refusal(auth().refreshToken({ refreshToken }))).toMatchObject({ reason: "UNAUTHENTICATED" });
    expect(await refusal(auth().login({ email: person.email, password }))).toEqual(wrong);
    const tombstone = `${uuidOf(person.id)}@erased.invalid`;
    expect(await refusal(auth().login({ email: tombstone, password }))).toEqual(wrong);
    expect(await refusal(inside().getAccount({ userId: person.id }))).toMatchObject({
      reason: "ACCOUNT_NOT_FOUND",
    });
    const rows = await mall.db.sql.unsafe(
      `select row_to_json(a)::text as account, (select count(*)::int from auth.sessions where user_id = a.id) as sessions,
        (select count(*)::int from auth.api_keys where user_id = a.id) as keys from auth.accounts a where id = $1`,
      [uuidOf(person.id)] as never[],
    );
    expect(rows[0]).toMatchObject({ sessions: 0, keys: 0 });
    for (const trace of [person.email, person.displayName]) expect(rows[0]!.account).not.toContain(trace);
  });

  test("ends its keys, too", async () => {
    const person = await someone();
    await mall.db.sql.unsafe("update auth.accounts set roles = '{customer,staff}' where id = $1", [
      uuidOf(person.id),
    ] as never[]);
    const { tokens } = await auth().login({ email: person.email, password });
    const headers = { authorization: `Bearer ${tokens!.accessToken}` };
    const request = { name: "Ada's machine", scopes: ["stock.read"], ttlDays: 1 };
    const { key } = await mall.client(ApiKeyService).createApiKey(request, { headers });
    const gate = mall.client(ApiKeyService, { service: "product" });
    expect(await gate.verifyApiKey({ key })).toMatchObject({ scopes: ["stock.read"] });
    await deleted(person.id);
    expect(await gate.verifyApiKey({ key })).toMatchObject({ scopes: [], apiKeyId: "" });
    const left = await mall.db.sql.unsafe("select 1 from auth.api_keys where user_id = $1", [
      uuidOf(person.id),
    ] as never[]);
    expect(left).toHaveLength(0);
  });

  test("is erased once, whatever comes twice, and the audit log tells", async () => {
    const person = await someone();
    const id = crypto.randomUUID();
    await Promise.all([deleted(person.id, id), deleted(person.id, id), deleted(person.id)]);
    await deleted(person.id);
    const events = (await mall.audit({ subject: person.id })).map(
      ({ action, actor }) => `${action} ${actor.id}`,
    );
    expect(events.filter((event) => event.startsWith("EraseAccount"))).toEqual(["EraseAccount auth"]);
  });

  test("lets go of its address: who registers it is somebody else", async () => {
    const { id, email } = await someone();
    await deleted(id);
    const { user } = await auth().register({ email, password });
    expect(user!.id).not.toBe(id);
    expect((await inside().getAccount({ userId: user!.id })).account?.email).toBe(email);
    await deleted(id);
    expect((await auth().login({ email, password })).user?.id).toBe(user!.id);
  });

  test("does not come back by a sign-in that was under way", async () => {
    const { id, email } = await someone();
    let release = () => {};
    hold = new Promise((resolve) => (release = resolve));
    const before = verified;
    const late = auth().login({ email, password });
    while (verified === before) await Bun.sleep(1);
    await deleted(id);
    release();
    hold = undefined;
    expect(await refusal(late)).toEqual(wrong);
    expect(await mall.db.sql`select 1 from auth.sessions where user_id = ${uuidOf(id)}`).toHaveLength(0);
  });

  test("that auth never had is taken and has no effect; others stay as they are", async () => {
    const { tokens, email } = await someone();
    await deleted(mall.newId("usr"));
    expect((await auth().refreshToken({ refreshToken: tokens.refreshToken })).tokens).toBeDefined();
    expect((await auth().login({ email, password })).user?.email).toBe(email);
  });
});
