import { describe, expect, test } from "bun:test";
import { UserService } from "@mall/gen/mall/user/v1/user_pb";
import { uuidOf } from "@mall/kernel/id";
import { refusal } from "@mall/kernel/testing/refusal";
import { auth, mall, password, rest, someone, withUserService } from "./testing";

withUserService();

const address = { name: "Ada", line1: "1 Way", city: "Austin", postalCode: "78701", country: "US" };
let residents = 0;

/** Somebody with a profile, a phone number and two addresses, like nobody else's. */
async function resident() {
  const person = someone();
  const traces = { phone: `+1555${1_000_000 + ++residents}`, street: `${residents} Way of ${person.id}` };
  await person.me.updateMe({ phone: traces.phone });
  for (const line1 of [traces.street, "2 Way"])
    await person.addresses.createAddress({ address: { ...address, line1 } });
  return { ...person, ...traces };
}

/** Everything that any table of the service holds, as text, but for the audit log. */
async function everything(): Promise<string> {
  const texts: string[] = [];
  for (const table of ["profiles", "addresses", "outbox", "inbox", "idempotency", "dead_letters"])
    texts.push(JSON.stringify(await mall.db.sql.unsafe(`select t::text from "user".${table} t`)));
  return texts.join();
}

const keysOf = async (id: string) => [
  ...(await mall.db
    .sql`select wrapped is not null as is_there from "user".data_keys where subject = ${uuidOf(id)}`),
];

const announced = async (id: string) =>
  mall.db.sql.unsafe(
    `select type, consumer, sequence, data from "user".outbox where subject = $1 order by consumer`,
    [id] as never[],
  );

const staff = () =>
  mall.client(UserService, { user: { id: mall.newId("usr"), roles: ["customer", "staff"] } });

describe("what is known about a user", () => {
  test("is handed out to that user, all of it, and the audit log tells", async () => {
    const person = await resident();
    const { status, body, cacheControl } = await rest("GET", "/v1/me/export", person.as);
    expect({ status, cacheControl }).toEqual({ status: 200, cacheControl: "no-store" });
    const { id, email, displayName } = person;
    const { addresses } = (await rest("GET", "/v1/me/addresses", person.as)).body;
    expect(body.export).toMatchObject({
      profile: { id, email, displayName, phone: person.phone, version: 2 },
      roles: ["customer"],
      registeredAt: mall.clock().toISOString().replace(".000Z", "Z"),
      addresses,
    });
    expect(addresses).toHaveLength(2);
    const [event] = await mall.audit({ subject: id });
    expect(event).toMatchObject({ action: "ExportMe", actor: { kind: "user", id }, metadata: {} });
  });

  test("is not handed out half while auth is away", async () => {
    const person = await resident();
    auth.isDown = true;
    expect(await refusal(person.me.exportMe({}))).toMatchObject({ code: "Unavailable" });
    auth.isDown = false;
    expect((await person.me.exportMe({})).export?.addresses).toHaveLength(2);
  });
});

describe("a user who wants to be forgotten", () => {
  test("has to give the password again; without it nothing happens", async () => {
    const person = await resident();
    const before = (await person.me.exportMe({})).export;
    const wrong = await rest("DELETE", "/v1/me", person.as, { password: "wrong horse battery" });
    expect(wrong).toMatchObject({ status: 401, body: { reason: "INVALID_CREDENTIALS" } });
    expect(await rest("DELETE", "/v1/me", person.as, {})).toMatchObject({ status: 400 });
    expect(await rest("DELETE", "/v1/me", person.as)).toMatchObject({ status: 400 });
    expect((await rest("DELETE", `/v1/me?password=${password}`, person.as)).status).toBe(400);
    expect((await person.me.exportMe({})).export).toEqual(before!);
    expect(await announced(person.id)).toHaveLength(0);
  });

  test("is not forgotten while auth cannot check the password", async () => {
    const person = await resident();
    auth.isDown = true;
    expect(await refusal(person.me.deleteMe({ password }))).toMatchObject({ code: "Unavailable" });
    auth.isDown = false;
    expect((await person.addresses.listAddresses({})).addresses).toHaveLength(2);
  });

  test("is in no table any more but by the id, and everybody who listens is told", async () => {
    const person = await resident();
    const traces = [person.email, person.displayName, person.phone.slice(1), person.street];
    expect(await keysOf(person.id)).toEqual([{ is_there: true }]);
    expect(await rest("DELETE", "/v1/me", person.as, { password })).toMatchObject({ status: 200, body: {} });
    const after = await everything();
    for (const trace of [...traces, password]) expect(after).not.toContain(trace);
    expect(after).toContain(uuidOf(person.id));
    expect(await keysOf(person.id)).toEqual([{ is_there: false }]);
    expect(JSON.parse(JSON.stringify(await announced(person.id)))).toEqual([
      ...["auth", "order", "payment"].map((consumer) => ({
        ...{ type: "mall.user.v1.UserDeleted", consumer, sequence: 3, data: { userId: person.id } },
      })),
    ]);
    const [event] = await mall.audit({ subject: person.id });
    expect(event).toMatchObject({
      action: "DeleteMe",
      outcome: "ok",
      actor: { kind: "user", id: person.id },
    });
  });

  test("does not come back by a token that is still good, or by news that come late", async () => {
    const person = await resident();
    await person.me.deleteMe({ password });
    const gone = { code: "NotFound", reason: "ACCOUNT_NOT_FOUND" };
    // auth has not heard of it yet and still knows the account
    for (const attempt of [
      () => person.me.getMe({}),
      () => person.me.updateMe({ phone: "+15551234567" }),
      () => person.me.exportMe({}),
      () => person.addresses.createAddress({ address }),
    ])
      expect(await refusal(attempt())).toEqual(gone);
    await mall.app.handle({
      id: crypto.randomUUID(),
      type: "mall.auth.v1.UserRegistered",
      data: { userId: person.id },
    });
    expect(await refusal(person.me.getMe({}))).toEqual(gone);
    expect(await everything()).not.toContain(person.email);
    expect(await person.addresses.listAddresses({})).toMatchObject({ addresses: [] });
  });

  test("is forgotten once, however often it is asked for at once", async () => {
    const person = await resident();
    await Promise.all(Array.from({ length: 5 }, () => person.me.deleteMe({ password })));
    expect(await announced(person.id)).toHaveLength(3);
    expect((await mall.audit({ subject: person.id })).map(({ action }) => action)).toEqual(["DeleteMe"]);
  });

  test("is forgotten, too, when the profile was never read, and while addresses are being saved", async () => {
    const [unseen, busy] = [someone(), await resident()];
    await unseen.me.deleteMe({ password });
    expect(await refusal(unseen.me.getMe({}))).toMatchObject({ reason: "ACCOUNT_NOT_FOUND" });
    const saves = Array.from({ length: 5 }, () => busy.addresses.createAddress({ address }));
    await Promise.allSettled([...saves, busy.me.deleteMe({ password }), busy.me.getMe({})]);
    const rows = await mall.db.sql.unsafe(
      `select (select count(*)::int from "user".addresses where user_id = $1) as kept, deleted_at is not null as gone
        from "user".profiles p where p.id = $1`,
      [uuidOf(busy.id)] as never[],
    );
    expect(JSON.parse(JSON.stringify(rows))).toEqual([{ kept: 0, gone: true }]);
  });

  test("leaves everybody else as they are", async () => {
    const [one, other] = [await resident(), await resident()];
    const before = (await other.me.exportMe({})).export;
    await one.me.deleteMe({ password });
    expect((await other.me.exportMe({})).export).toEqual(before!);
  });
});

describe("staff", () => {
  test("see users page by page, the newest first, and none who were deleted", async () => {
    const people: Awaited<ReturnType<typeof resident>>[] = [];
    for (let i = 0; i < 5; i++) {
      mall.clock.advance(1);
      people.push(await resident());
    }
    await people[2]!.me.deleteMe({ password });
    const seen: string[] = [];
    for (let pageToken = "", pages = 0; pages < 3; pages++) {
      const page = await staff().listUsers({ pageSize: 2, pageToken });
      expect(page.users).toHaveLength(2);
      seen.push(...page.users.map(({ id }) => id));
      pageToken = page.nextPageToken;
    }
    expect(seen.slice(0, 4)).toEqual([4, 3, 1, 0].map((i) => people[i]!.id));
    expect(new Set(seen).size).toBe(seen.length);
    const all = await staff().listUsers({ pageSize: 100 });
    expect(all.nextPageToken).toBe("");
    expect(await refusal(staff().listUsers({ pageToken: "nonsense" }))).toMatchObject({
      reason: "VALIDATION",
    });
  });

  test("see one user by id, and the same for unknown and deleted ones", async () => {
    const [person, gone] = [await resident(), await resident()];
    const { user } = await staff().getUser({ userId: person.id });
    expect(user).toMatchObject({ id: person.id, email: person.email, phone: person.phone });
    await gone.me.deleteMe({ password });
    for (const userId of [gone.id, mall.newId("usr")])
      expect(await refusal(staff().getUser({ userId }))).toEqual({
        code: "NotFound",
        reason: "USER_NOT_FOUND",
      });
  });

  test("only", async () => {
    const [person, other] = [await resident(), await resident()];
    const forbidden = { code: "PermissionDenied", reason: "FORBIDDEN" };
    expect(await refusal(person.me.listUsers({}))).toEqual(forbidden);
    expect(await refusal(person.me.getUser({ userId: other.id }))).toEqual(forbidden);
    expect(await refusal(person.me.getUser({ userId: person.id }))).toEqual(forbidden);
  });
});
