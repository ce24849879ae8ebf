import { describe, expect, test } from "bun:test";
import { UserService } from "@mall/gen/mall/user/v1/user_pb";
import { uuidOf } from "@mall/kernel/id";
import { eventScope } from "@mall/kernel/identity/service-token";
import { dataKeysOf } from "@mall/kernel/personal/data-keys";
import { personalData } from "@mall/kernel/personal/personal";
import { type As, masterKey } from "@mall/kernel/testing/harness";
import { refusal as refused } from "@mall/kernel/testing/refusal";
import { createUserService } from "./service";
import { auth, mall, rest as request, someone, withUserService } from "./testing";

withUserService();

const refusal = async (work: Promise<unknown>) => {
  const { code, reason } = await refused(work);
  return code && `${code} ${reason}`;
};

const rest = (method: string, as: As, body?: unknown, more?: Record<string, string>) =>
  request(method, "/v1/me", as, body, more);

let messages = 0;

/** Delivers news of auth, UserRegistered if nothing else is said, as the local bus does. */
async function deliver(
  userId: string,
  {
    service = "auth",
    id = crypto.randomUUID() as string,
    type = "mall.auth.v1.UserRegistered",
    sequence = String(++messages),
  } = {},
) {
  const headers = await mall.headers({ service: service as "auth" }, eventScope);
  const event = {
    specversion: "1.0",
    id,
    source: "/mall/auth",
    type,
    subject: userId,
    time: mall.clock().toISOString(),
    datacontenttype: "application/json",
    sequence,
    data: { userId },
  };
  const response = await mall.app.fetch(
    new Request("http://user/events", { method: "POST", headers, body: JSON.stringify(event) }),
  );
  return response.status;
}

const rows = (id: string) =>
  mall.db.sql.unsafe('select email, display_name from "user".profiles p where p.id = $1::uuid', [uuidOf(id)]);

describe("one's own profile", () => {
  test("is made from the account when it is first asked for", async () => {
    const { id, email, displayName } = someone();
    const { status, body, etag, cacheControl } = await rest("GET", { user: { id } });
    expect(status).toBe(200);
    const at = mall.clock().toISOString().replace(".000Z", "Z");
    expect(body).toEqual({
      user: { id, email, displayName, phone: "", version: 1, createdAt: at, updatedAt: at },
    });
    expect({ etag, cacheControl }).toEqual({ etag: '"1"', cacheControl: "no-store" });
  });

  test("is asked from auth once", async () => {
    const { id, me } = someone();
    await me.getMe({});
    await me.getMe({});
    await me.updateMe({ phone: "+15551234567" });
    expect(auth.asked.filter((userId) => userId === id)).toHaveLength(1);
  });

  test("is one, however many first requests come at once", async () => {
    const { id, me } = someone();
    const all = await Promise.all(Array.from({ length: 10 }, () => me.getMe({})));
    for (const { user } of all) expect(user).toEqual(all[0]!.user);
    expect(await rows(id)).toHaveLength(1);
  });

  test("needs a bearer token; a service token is not enough", async () => {
    expect(await refusal(mall.client(UserService).getMe({}))).toBe("Unauthenticated UNAUTHENTICATED");
    expect(await refusal(mall.client(UserService, { service: "checkout" }).getMe({}))).toBe(
      "Unauthenticated UNAUTHENTICATED",
    );
    expect((await rest("GET", {})).status).toBe(401);
  });

  test("of an account that is gone is not found, and none is made", async () => {
    const id = mall.newId("usr");
    const me = mall.client(UserService, { user: { id } });
    expect(await refusal(me.getMe({}))).toBe("NotFound ACCOUNT_NOT_FOUND");
    expect(await refusal(me.updateMe({ displayName: "Nobody" }))).toBe("NotFound ACCOUNT_NOT_FOUND");
    expect(await rows(id)).toHaveLength(0);
  });

  test("is shown while auth is down, if it was made before", async () => {
    const [known, unknown] = [someone(), someone()];
    await known.me.getMe({});
    auth.isDown = true;
    try {
      expect((await known.me.getMe({})).user?.email).toBe(known.email);
      expect(await refusal(unknown.me.getMe({}))).toBe("Unavailable DATABASE_UNAVAILABLE");
    } finally {
      auth.isDown = false;
    }
    expect((await unknown.me.getMe({})).user?.email).toBe(unknown.email);
  });
});

describe("changing the profile", () => {
  test("sets what is present and counts the version", async () => {
    const { id, email, displayName } = someone();
    mall.clock.advance(1);
    const named = await rest("PATCH", { user: { id } }, { displayName: "Grace" });
    expect(named).toMatchObject({
      status: 200,
      etag: '"2"',
      body: { user: { displayName: "Grace", phone: "", email, version: 2 } },
    });
    const called = await rest("PATCH", { user: { id } }, { phone: "+15551234567" });
    expect(called.body.user).toMatchObject({ displayName: "Grace", phone: "+15551234567", version: 3 });
    expect((await rest("GET", { user: { id } })).body).toEqual(called.body);
    expect(displayName).not.toBe("Grace");
  });

  test("to what it is already changes nothing", async () => {
    const { me } = someone();
    const first = await me.updateMe({ displayName: "Grace" });
    mall.clock.advance(1);
    expect((await me.updateMe({ displayName: "Grace" })).user).toEqual(first.user);
    expect((await me.updateMe({})).user).toEqual(first.user);
  });

  test("is refused when it is based on another version, by field and by If-Match", async () => {
    const { id, me } = someone();
    await me.updateMe({ displayName: "Grace" });
    expect(await refusal(me.updateMe({ displayName: "Eve", expectedVersion: 1 }))).toBe(
      "Aborted VERSION_MISMATCH",
    );
    const stale = await rest("PATCH", { user: { id } }, { displayName: "Eve" }, { "if-match": '"1"' });
    expect(stale).toMatchObject({ status: 412, body: { reason: "VERSION_MISMATCH" } });
    const fresh = await rest(
      "PATCH",
      { user: { id } },
      { displayName: "Grace Hopper" },
      { "if-match": '"2"' },
    );
    expect(fresh).toMatchObject({ status: 200, etag: '"3"' });
  });

  test("20 times at once on the same version has one winner", async () => {
    const { me } = someone();
    await me.getMe({});
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => me.updateMe({ displayName: `Name ${i}`, expectedVersion: 1 })),
    );
    expect(results.filter((r) => r.status === "fulfilled")).toHaveLength(1);
    expect((await me.getMe({})).user?.version).toBe(2);
  });

  test("in different fields at once loses none", async () => {
    const { me } = someone();
    await Promise.all([me.updateMe({ displayName: "Grace" }), me.updateMe({ phone: "+15551234567" })]);
    expect((await me.getMe({})).user).toMatchObject({
      displayName: "Grace",
      phone: "+15551234567",
      version: 3,
    });
  });

  test("changes nobody else's", async () => {
    const [one, other] = [someone(), someone()];
    const before = (await other.me.getMe({})).user;
    await one.me.updateMe({ displayName: "Grace" });
    expect((await other.me.getMe({})).user).toEqual(before);
  });

  const wrong: [string, object, string][] = [
    ["an empty name", { displayName: "" }, "#/displayName"],
    ["a name of spaces", { displayName: "   " }, "#/displayName"],
    ["a name with NUL", { displayName: "A\u0000da" }, "#/displayName"],
    ["a long name", { displayName: "x".repeat(101) }, "#/displayName"],
    ["a phone in local form", { phone: "0555 1234" }, "#/phone"],
    ["an empty phone", { phone: "" }, "#/phone"],
    ["another e-mail address", { email: "eve@example.com" }, "#/email"],
    ["somebody's id", { id: "usr_01jjjjjjjjjjjjjjjjjjjjjjjj" }, "#/id"],
    ["a version that cannot be", { expectedVersion: 0 }, "#/expectedVersion"],
  ];
  for (const [what, body, pointer] of wrong) {
    test(`refuses ${what} and points to it`, async () => {
      const { id, me } = someone();
      const before = (await me.getMe({})).user;
      const answer = await rest("PATCH", { user: { id } }, body);
      expect(answer).toMatchObject({ status: 400, body: { reason: "VALIDATION", errors: [{ pointer }] } });
      expect((await me.getMe({})).user).toEqual(before);
    });
  }
});

describe("the news of a registration", () => {
  test("makes the profile ahead of time, once", async () => {
    const { id, email, displayName, me } = someone();
    const message = crypto.randomUUID();
    expect(await deliver(id, { id: message })).toBe(204);
    expect(await rows(id)).toEqual([{ email: "", display_name: "" }] as never);
    expect(await deliver(id, { id: message })).toBe(204);
    expect(auth.asked.filter((userId) => userId === id)).toHaveLength(1);
    expect(await deliver(id)).toBe(204);
    expect(await rows(id)).toHaveLength(1);
    expect((await me.getMe({})).user).toMatchObject({ email, displayName, version: 1 });
  });

  test("that comes late leaves the profile as it is", async () => {
    const { id, me } = someone();
    const changed = await me.updateMe({ displayName: "Grace" });
    expect(await deliver(id)).toBe(204);
    expect((await me.getMe({})).user).toEqual(changed.user);
  });

  test("and the user's first request at once make one profile", async () => {
    const { id, me } = someone();
    const [status, { user }] = await Promise.all([deliver(id), me.getMe({})]);
    expect(status).toBe(204);
    expect(user?.version).toBe(1);
    expect(await rows(id)).toHaveLength(1);
  });

  test("of an account that is gone is taken and has no effect", async () => {
    const id = mall.newId("usr");
    expect(await deliver(id)).toBe(204);
    expect(await rows(id)).toHaveLength(0);
  });

  test("is not taken while auth is down, so that it comes again", async () => {
    const { id } = someone();
    const message = crypto.randomUUID();
    auth.isDown = true;
    try {
      expect(await deliver(id, { id: message })).toBe(503);
    } finally {
      auth.isDown = false;
    }
    expect(await deliver(id, { id: message })).toBe(204);
    expect(await rows(id)).toHaveLength(1);
  });

  test("is taken from auth only", async () => {
    const { id } = someone();
    for (const service of ["gateway", "checkout", "mall"]) expect(await deliver(id, { service })).toBe(401);
    expect(await deliver(id, { type: "mall.order.v1.OrderPlaced" })).toBe(403);
    const bare = await mall.app.fetch(new Request("http://user/events", { method: "POST", body: "{}" }));
    expect(bare.status).toBe(401);
    expect(await rows(id)).toHaveLength(0);
  });

  test("does not let auth call anything else", async () => {
    expect(await refusal(mall.client(UserService, { service: "auth" }).getMe({}))).toBe(
      "Unauthenticated UNAUTHENTICATED",
    );
  });
});

test("a service with the master key of another mall neither starts nor is ready", async () => {
  const stranger = createUserService({
    ...{ db: mall.db, clock: mall.clock, background: () => {} },
    env: { MALL_ENV: "test", LOG_LEVEL: "silent", MALL_MASTER_KEY: "the master key of some other mall" },
    registry: { fetch: () => fetch, transport: () => mall.app.rpc.transport },
  });
  await expect(stranger.start()).rejects.toThrow("MALL_MASTER_KEY is not the key that the user service");
  const response = await stranger.fetch(new Request("http://user/readyz"));
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ checks: { masterKey: "wrong" } });
});

describe("a profile at rest", () => {
  const personal = () => personalData("user", dataKeysOf("user", masterKey, mall.clock));
  const stored = async (id: string) => {
    const [row] = await mall.db.sql`select email, display_name, phone, personal from "user".profiles
      where id = ${uuidOf(id)}`;
    return row!;
  };

  test("is sealed, also after a change", async () => {
    const { id, email, me } = someone();
    const { user } = await me.updateMe({ phone: "+15551234567" });
    expect(user).toMatchObject({ email, phone: "+15551234567" });
    const { personal: bytes, ...clear } = await stored(id);
    expect(clear).toEqual({ email: "", display_name: "", phone: "" });
    expect(Buffer.from(bytes as Uint8Array).includes("5551234567")).toBe(false);
  });

  test("is an error when somebody else's stands there", async () => {
    const [one, other] = [someone(), someone()];
    await one.me.getMe({});
    await other.me.getMe({});
    await mall.db.sql`update "user".profiles set personal =
      (select personal from "user".profiles where id = ${uuidOf(other.id)}) where id = ${uuidOf(one.id)}`;
    expect(await refusal(one.me.getMe({}))).toBe("Internal INTERNAL");
    expect((await other.me.getMe({})).user?.email).toBe(other.email);
  });

  test("is gone when its user is erased, and does not come back", async () => {
    const { id, me } = someone();
    await me.getMe({});
    await mall.db.tx((tx) => personal().erase(tx, id));
    expect(await refusal(me.getMe({}))).toBe("NotFound ACCOUNT_NOT_FOUND");
    expect(await refusal(me.updateMe({ displayName: "Grace" }))).toBe("NotFound ACCOUNT_NOT_FOUND");
    expect(await deliver(id)).toBe(204);
    expect(await refusal(me.getMe({}))).toBe("NotFound ACCOUNT_NOT_FOUND");
  });

  test("from before it was sealed is read, changed and sealed without anybody noticing", async () => {
    const [read, changed] = [someone(), someone()];
    for (const { id, email, displayName, me } of [read, changed]) {
      await me.getMe({});
      await mall.db.sql`update "user".profiles
        set personal = null, email = ${email}, display_name = ${displayName}, phone = '+15551234567'
        where id = ${uuidOf(id)}`;
    }
    const before = (await read.me.getMe({})).user;
    expect(before).toMatchObject({ email: read.email, phone: "+15551234567" });
    await changed.me.updateMe({ displayName: "Grace" });
    expect(await stored(changed.id)).toMatchObject({ email: "", display_name: "", phone: "" });
    expect(await mall.app.dataKeys.seal()).toBe(1);
    expect((await read.me.getMe({})).user).toEqual(before);
    expect((await changed.me.getMe({})).user).toMatchObject({ displayName: "Grace", phone: "+15551234567" });
    expect(await stored(read.id)).toMatchObject({ email: "", display_name: "", phone: "" });
  });
});

describe("the news of another address", () => {
  const changed = (id: string, sequence: string, more: { id?: string } = {}) =>
    deliver(id, { type: "mall.auth.v1.EmailChanged", sequence, ...more });
  const move = (id: string, email: string) => auth.accounts.set(id, { displayName: "Ada", email });

  test("is taken over, once", async () => {
    const { id, me } = someone();
    await me.getMe({});
    move(id, "new@example.com");
    const message = crypto.randomUUID();
    expect(await changed(id, "1", { id: message })).toBe(204);
    expect(await changed(id, "1", { id: message })).toBe(204);
    expect((await me.getMe({})).user).toMatchObject({ email: "new@example.com", version: 2 });
  });

  test("that comes after later news changes nothing", async () => {
    const { id, me } = someone();
    await me.getMe({});
    move(id, "second@example.com");
    expect(await changed(id, "2")).toBe(204);
    // asked before the second change, written after it
    move(id, "first@example.com");
    expect(await changed(id, "1")).toBe(204);
    expect((await me.getMe({})).user).toMatchObject({ email: "second@example.com", version: 2 });
  });

  test("before there is a profile, or after the account has gone, has no effect", async () => {
    const { id, email } = someone();
    expect(await changed(id, "1")).toBe(204);
    expect(await rows(id)).toHaveLength(0);
    const { id: known, me } = someone();
    const { user } = await me.getMe({});
    auth.accounts.delete(known);
    expect(await changed(known, "1")).toBe(204);
    expect((await me.getMe({})).user?.email).toBe(user!.email);
    expect(user!.email).not.toBe(email);
  });
});
