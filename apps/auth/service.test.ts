import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { Code, type ConnectError } from "@connectrpc/connect";
import { AuthService, type Tokens } from "@mall/gen/mall/auth/v1/auth_pb";
import type { Resources } from "@mall/kernel/app";
import { faultInfo } from "@mall/kernel/fault";
import { uuidOf } from "@mall/kernel/id";
import { accessTokenVerifier } from "@mall/kernel/identity/access-token";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { bunPasswords } from "./password/bun";
import type { Passwords } from "./password/port";
import { createAuthCommands, createAuthService } from "./service";

const password = "correct horse battery";
const cost = { memoryKib: 64, passes: 1 };
const cheap = bunPasswords(cost);
let hashed = 0;
let verified = 0;
const counting: Passwords = {
  ...cheap,
  async hash(text) {
    hashed++;
    await whileHashing();
    return cheap.hash(text);
  },
  verify: (text, phc) => {
    verified++;
    return cheap.verify(text, phc);
  },
};
/** What happens elsewhere while a password is hashed. */
let whileHashing = async () => {};

/** Who was announced to the user service, as the CloudEvents said. */
const announced: { type: string; subject: string; data: unknown }[] = [];

/** Resources whose user service notes the events it gets. */
function withListener(given: Resources): Resources {
  const { registry } = given;
  const fetch: typeof registry.fetch = (service) => async (request) => {
    if (service !== "user") return registry.fetch(service)(request);
    const { type, subject, data } = (await request.json()) as (typeof announced)[number];
    announced.push({ type, subject, data });
    return new Response(null, { status: 204 });
  };
  return { ...given, registry: { ...registry, fetch } };
}

let mall: Harness;
let resources: Resources;
beforeAll(async () => {
  mall = await harness("auth", (given) => {
    resources = withListener(given);
    return createAuthService(resources, counting);
  });
});
afterAll(() => mall.stop());

let people = 0;
const newEmail = () => `person-${++people}@example.com`;
const auth = () => mall.client(AuthService);
const bearer = (accessToken: string) => ({ headers: { authorization: `Bearer ${accessToken}` } });

async function someone(email = newEmail()) {
  const { user, tokens } = await auth().register({ email, password });
  return { email, user: user!, tokens: tokens! };
}

async function refusal(promise: Promise<unknown>) {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e as ConnectError,
  );
  return error && `${Code[error.code]} ${faultInfo(error)?.reason}`;
}

const refresh = async ({ refreshToken }: Tokens): Promise<Tokens> =>
  (await auth().refreshToken({ refreshToken })).tokens!;

/** Request and answer on REST; the instance is the request's id and differs always. */
async function rest(path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await mall.app.fetch(
    new Request(`http://auth${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    }),
  );
  const { instance: _, ...rest } = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, body: rest };
}

/** The events about a user, once all that is due has been delivered. */
async function eventsAbout(id: string) {
  await mall.app.sweep();
  return announced.filter((event) => event.subject === id);
}

describe("registering", () => {
  test("creates a customer with a normalised address, signs in and announces it", async () => {
    const email = "Zoe+Shop@Books.Example";
    const { status, body } = await rest("/v1/auth/register", { email, password, displayName: " Zoë " });
    expect(status).toBe(201);
    expect(body).toEqual({
      user: {
        id: expect.stringMatching(/^usr_[0-9a-z]{26}$/),
        email: "zoe+shop@books.example",
        displayName: "Zoë",
        roles: ["customer"],
        createdAt: "2026-01-01T00:00:00Z",
        emailVerified: false,
      },
      tokens: { accessToken: expect.any(String), refreshToken: expect.any(String), expiresIn: 900 },
    });
    const { id } = body.user as { id: string };
    const event = { type: "mall.auth.v1.UserRegistered", subject: id, data: { userId: id } };
    expect(await eventsAbout(id)).toEqual([event]);
  });

  test("names the account after the address when no name is given", async () => {
    const { user } = await auth().register({ email: `tim.${newEmail()}`, password, displayName: "  " });
    expect(user?.displayName).toBe(user?.email.split("@")[0]);
  });

  test("refuses an address that has an account, in whichever case it is written", async () => {
    const { email } = await someone();
    expect(await refusal(auth().register({ email: email.toUpperCase(), password }))).toBe(
      "AlreadyExists EMAIL_TAKEN",
    );
    const { status, body } = await rest("/v1/auth/register", { email, password });
    expect(status).toBe(409);
    expect(body.reason).toBe("EMAIL_TAKEN");
  });

  test("at once with the same address makes one account and one event", async () => {
    const email = newEmail();
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, () => auth().register({ email, password })),
    );
    const made = results.filter((r) => r.status === "fulfilled");
    expect(made).toHaveLength(1);
    expect(await eventsAbout(made[0]!.value.user!.id)).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(faultInfo(result.reason)?.reason).toBe("EMAIL_TAKEN");
    }
  });

  test("stores a PHC string and never the password", async () => {
    const { user } = await someone();
    const rows = await mall.db.sql.unsafe("select accounts::text as row from auth.accounts");
    expect(rows.length).toBeGreaterThan(0);
    for (const { row } of rows) expect(row).not.toContain(password);
    const [row] = rows.filter(({ row }) => row.includes(uuidOf(user.id)));
    expect(row!.row).toContain("$argon2id$v=19$m=64,t=1,p=1$");
  });

  const wrong: [string, object, string[]][] = [
    ["no address", { password }, ["#/email"]],
    ["an address without a domain", { email: "ada", password }, ["#/email"]],
    ["an address at an IP address", { email: "ada@127.0.0.1", password }, ["#/email"]],
    ["a short password", { email: "ada@example.com", password: "1234567" }, ["#/password"]],
    ["a long password", { email: "ada@example.com", password: "x".repeat(129) }, ["#/password"]],
    ["a long name", { email: "ada@example.com", password, displayName: "x".repeat(101) }, ["#/displayName"]],
    ["a name with NUL", { email: "ada@example.com", password, displayName: "A\u0000da" }, ["#/displayName"]],
    ["a role of one's own choice", { email: "ada@example.com", password, roles: ["admin"] }, ["#/roles"]],
    ["a number for a password", { email: "ada@example.com", password: 12345678 }, ["#/password"]],
    [
      "everything wrong",
      { email: "", password: "", displayName: "x".repeat(101) },
      ["#/email", "#/password", "#/displayName"],
    ],
  ];
  for (const [what, body, pointers] of wrong) {
    test(`refuses ${what} and points to it`, async () => {
      const before = hashed;
      const answer = await rest("/v1/auth/register", body);
      expect(answer.status).toBe(400);
      expect(answer.body.reason).toBe("VALIDATION");
      expect((answer.body.errors as { pointer: string }[]).map((e) => e.pointer).sort()).toEqual(
        pointers.sort(),
      );
      expect(hashed).toBe(before);
    });
  }
});

describe("signing in", () => {
  test("takes the address in any case and starts a session of its own", async () => {
    const { email, user, tokens } = await someone();
    const { status, body } = await rest("/v1/auth/login", { email: ` ${email.toUpperCase()} `, password });
    expect(status).toBe(200);
    expect(body.user).toMatchObject({ id: user.id, email });
    const { accessToken } = body.tokens as { accessToken: string };
    expect(decodeJwt(accessToken).sid).not.toBe(decodeJwt(tokens.accessToken).sid);
  });

  test("answers an unknown account exactly as a wrong password, after the same work", async () => {
    const { email } = await someone();
    const attempts = [
      { email, password: "wrong horse battery" },
      { email: newEmail(), password },
      { email: "no address at all", password },
    ];
    const answers = [];
    for (const attempt of attempts) {
      const before = { hashed, verified };
      const { status, body, headers } = await rest("/v1/auth/login", attempt);
      answers.push({ status, body, challenge: headers.get("www-authenticate") });
      expect({ hashed: hashed - before.hashed, verified: verified - before.verified }).toEqual({
        hashed: 0,
        verified: 1,
      });
    }
    expect(answers[0]).toMatchObject({ status: 401, body: { reason: "INVALID_CREDENTIALS" } });
    expect(answers[1]).toEqual(answers[0]!);
    expect(answers[2]).toEqual(answers[0]!);
  });

  test("replaces a hash of other costs by one of today's, once", async () => {
    const { email, user } = await someone();
    const old = await bunPasswords({ memoryKib: 32, passes: 1 }).hash(password);
    await mall.db.sql.unsafe("update auth.accounts set password_hash = $1 where id = $2", [
      old,
      uuidOf(user.id),
    ]);
    const stored = async () =>
      (
        await mall.db.sql.unsafe("select password_hash from auth.accounts where id = $1", [uuidOf(user.id)])
      )[0]!.password_hash;
    await refusal(auth().login({ email, password: "wrong horse battery" }));
    expect(await stored()).toBe(old);
    expect((await auth().login({ email, password })).user?.id).toBe(user.id);
    const upgraded = await stored();
    expect(upgraded).toStartWith("$argon2id$v=19$m=64,t=1,p=1$");
    await auth().login({ email, password });
    expect(await stored()).toBe(upgraded);
  });

  test("does not bring an old password back that was changed while its hash was replaced", async () => {
    const { email, user } = await someone();
    const old = await bunPasswords({ memoryKib: 32, passes: 1 }).hash(password);
    const changed = await cheap.hash("another horse battery");
    const store = (phc: string) =>
      mall.db.sql.unsafe("update auth.accounts set password_hash = $1 where id = $2", [phc, uuidOf(user.id)]);
    await store(old);
    whileHashing = async () => void (await store(changed));
    await auth().login({ email, password });
    whileHashing = async () => {};
    expect(await refusal(auth().login({ email, password }))).toBe("Unauthenticated INVALID_CREDENTIALS");
    await auth().login({ email, password: "another horse battery" });
  });

  test("is refused when the bearer token beside it is not valid", async () => {
    const { email } = await someone();
    expect(
      (await rest("/v1/auth/login", { email, password }, { authorization: "Bearer nonsense" })).status,
    ).toBe(401);
  });
});

describe("access tokens", () => {
  const jwks = async () => {
    const response = await mall.app.fetch(new Request("http://auth/.well-known/jwks.json"));
    return { response, keys: ((await response.json()) as { keys: JWK[] }).keys };
  };

  test("are verified by every service against the published keys", async () => {
    const { user, tokens } = await someone();
    const { verify } = accessTokenVerifier({
      fetchAuth: (request) => mall.app.fetch(request),
      clock: mall.clock,
      background: () => {},
    });
    const { sid } = decodeJwt(tokens.accessToken) as { sid: string };
    expect(await verify(tokens.accessToken)).toEqual({
      id: user.id as never,
      roles: ["customer"],
      sessionId: sid,
      tokenVersion: 1,
    });
    expect(sid).toMatch(/^ses_/);
    expect(decodeProtectedHeader(tokens.accessToken)).toEqual({
      alg: "EdDSA",
      typ: "at+jwt",
      kid: (await jwks()).keys[0]!.kid,
    });
    const { iat, exp, iss, aud, jti, ...others } = decodeJwt(tokens.accessToken);
    expect({ life: exp! - iat!, iss, aud }).toEqual({ life: 900, iss: "edgemall", aud: "edgemall" });
    expect(jti).toBeString();
    expect(Object.keys(others).sort()).toEqual(["roles", "sid", "sub", "ver"]);
  });

  test("come from keys of which only the public half is served, cacheable, and only sealed ones are stored", async () => {
    const { response, keys } = await jwks();
    expect(response.headers.get("cache-control")).toBe("public, max-age=300");
    expect(response.headers.get("content-type")).toStartWith("application/json");
    expect(keys).toEqual([
      {
        kty: "OKP",
        crv: "Ed25519",
        x: expect.any(String),
        kid: expect.any(String),
        alg: "EdDSA",
        use: "sig",
      } as never,
    ]);
    const [row] = await mall.db.sql.unsafe("select sealed_private_key as sealed from auth.signing_keys");
    expect((row!.sealed as Buffer).length).toBe(29 + 43);
  });

  test("expire by the clock", async () => {
    const { tokens } = await someone();
    const options = bearer(tokens.accessToken);
    mall.clock.advance(899);
    await auth().logout({}, options);
    mall.clock.advance(1);
    expect(await refusal(auth().logout({}, options))).toBe("Unauthenticated TOKEN_EXPIRED");
  });

  test("of another make are refused, whatever their header promises", async () => {
    const { user, tokens } = await someone();
    const [header, payload, signature] = tokens.accessToken.split(".") as [string, string, string];
    const { kid } = decodeProtectedHeader(tokens.accessToken);
    const publicKey = (await jwks()).keys[0]!;
    const text = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const hs256 = text({ alg: "HS256", typ: "at+jwt", kid });
    const hmac = (key: string | Buffer) =>
      createHmac("sha256", key).update(`${hs256}.${payload}`).digest("base64url");
    const own = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
    const claims = decodeJwt(tokens.accessToken);
    const signed = (given: object) =>
      new SignJWT({ ...claims, roles: ["admin"] })
        .setProtectedHeader({ alg: "EdDSA", ...given })
        .sign(own.privateKey);
    const jwk = await exportJWK(own.publicKey);
    const admin = text({ ...claims, roles: ["customer", "admin"] });
    const forged = {
      none: `${text({ alg: "none", typ: "at+jwt", kid })}.${payload}.`,
      noneSigned: `${text({ alg: "none", typ: "at+jwt", kid })}.${payload}.${signature}`,
      hs256WithTheKeyText: `${hs256}.${payload}.${hmac(publicKey.x!)}`,
      hs256WithTheKeyBytes: `${hs256}.${payload}.${hmac(Buffer.from(publicKey.x!, "base64url"))}`,
      hs256WithTheJwk: `${hs256}.${payload}.${hmac(JSON.stringify(publicKey))}`,
      emptySignature: `${header}.${payload}.`,
      otherClaims: `${header}.${admin}.${signature}`,
      otherKeySameKid: await signed({ typ: "at+jwt", kid }),
      otherKeyEmbedded: await signed({ typ: "at+jwt", kid, jwk }),
      otherKeyByUrl: await signed({ typ: "at+jwt", kid, jku: "http://evil.example/jwks.json" }),
      otherKeyUnknownKid: await signed({ typ: "at+jwt", kid: "../../etc/passwd" }),
      otherKeyNoKid: await signed({ typ: "at+jwt" }),
    };
    for (const [name, token] of Object.entries(forged)) {
      expect({ name, verdict: await refusal(auth().logout({}, bearer(token))) }).toEqual({
        name,
        verdict: "Unauthenticated UNAUTHENTICATED",
      });
    }
    await auth().logout({}, bearer(tokens.accessToken));
    expect(user.roles).toEqual(["customer"]);
  });

  test("are signed with the one key that racing processes agree on", async () => {
    let others: Resources | undefined;
    const fresh = await harness("auth", (given) => {
      others = given;
      return createAuthService(given, cheap);
    });
    try {
      const apps = Array.from({ length: 8 }, () => createAuthService(others!, cheap));
      const set = async (app: { fetch(request: Request): Promise<Response> }) =>
        (await app.fetch(new Request("http://auth/.well-known/jwks.json"))).text();
      const sets = await Promise.all(apps.map(set));
      expect(new Set(sets).size).toBe(1);
      expect(JSON.parse(sets[0]!).keys).toHaveLength(1);
      fresh.clock.advance(10);
      for (const app of [...apps, fresh.app]) expect(await set(app)).toBe(sets[0]!);
    } finally {
      await fresh.stop();
    }
  });

  test("are not called invalid when the keys cannot be had", async () => {
    const { tokens } = await someone();
    const sources: (() => Promise<Response>)[] = [
      async () => new Response(null, { status: 503 }),
      async () => new Response("no JSON"),
      async () => Response.json({ no: "keys" }),
      () => Promise.reject(new TypeError("connection refused")),
    ];
    for (const fetchAuth of sources) {
      const { verify } = accessTokenVerifier({ fetchAuth, clock: mall.clock, background: () => {} });
      expect(await refusal(verify(tokens.accessToken))).toBe("Unavailable AUTH_UNAVAILABLE");
    }
  });

  test("cannot be signed by a process with another master key", async () => {
    const env = { ...resources.env, MALL_MASTER_KEY: "another-master-key-another-master-key-01234" };
    const stranger = createAuthService({ ...resources, env }, cheap);
    const response = await stranger.fetch(new Request("http://auth/.well-known/jwks.json"));
    expect(response.status).toBe(500);
  });
});

describe("refreshing", () => {
  test("gives the next tokens of the same session", async () => {
    const { user, tokens } = await someone();
    const { status, body } = await rest("/v1/auth/refresh", { refreshToken: tokens.refreshToken });
    expect(status).toBe(200);
    const next = body.tokens as { accessToken: string; refreshToken: string; expiresIn: number };
    expect(next.expiresIn).toBe(900);
    expect(next.refreshToken).not.toBe(tokens.refreshToken);
    const [before, after] = [decodeJwt(tokens.accessToken), decodeJwt(next.accessToken)];
    expect(after.sub).toBe(user.id);
    expect(after.sid).toBe(before.sid);
    expect(after.jti).not.toBe(before.jti);
  });

  test("goes on for many generations", async () => {
    let { tokens } = await someone();
    for (let i = 0; i < 5; i++) {
      mall.clock.advance(60);
      tokens = await refresh(tokens);
    }
    expect(tokens.refreshToken.split(".")[1]).toBe("6");
  });

  test("with the predecessor gives the same successor for 10 seconds", async () => {
    const { tokens } = await someone();
    const next = await refresh(tokens);
    mall.clock.advance(10);
    expect((await refresh(tokens)).refreshToken).toBe(next.refreshToken);
    expect((await refresh(next)).refreshToken).not.toBe(next.refreshToken);
  });

  test("with the predecessor after that ends the session for both", async () => {
    const { tokens } = await someone();
    const next = await refresh(tokens);
    mall.clock.advance(11);
    expect(await refusal(refresh(tokens))).toBe("Unauthenticated REFRESH_TOKEN_REUSED");
    expect(await refusal(refresh(next))).toBe("Unauthenticated UNAUTHENTICATED");
  });

  test("with an older token than the predecessor ends the session, also within 10 seconds", async () => {
    const { tokens } = await someone();
    const third = await refresh(await refresh(tokens));
    expect(await refusal(refresh(tokens))).toBe("Unauthenticated REFRESH_TOKEN_REUSED");
    expect(await refusal(refresh(third))).toBe("Unauthenticated UNAUTHENTICATED");
  });

  test("ends only the session whose token was used again", async () => {
    const { email, tokens } = await someone();
    const other = (await auth().login({ email, password })).tokens!;
    await refresh(await refresh(tokens));
    expect(await refusal(refresh(tokens))).toBe("Unauthenticated REFRESH_TOKEN_REUSED");
    expect((await refresh(other)).refreshToken).toContain(".2.");
  });

  test("20 times at once has one successor", async () => {
    const { tokens } = await someone();
    const all = await Promise.all(Array.from({ length: 20 }, () => refresh(tokens)));
    expect(new Set(all.map((t) => t.refreshToken)).size).toBe(1);
    const next = await refresh(all[0]!);
    expect(next.refreshToken.split(".")[1]).toBe("3");
  });

  test("is over once the token has expired", async () => {
    const { tokens } = await someone();
    mall.clock.advance(30 * 86_400 - 1);
    const next = await refresh(tokens);
    mall.clock.advance(30 * 86_400);
    expect(await refusal(refresh(next))).toBe("Unauthenticated UNAUTHENTICATED");
  });

  test("refuses forged tokens alike, and leaves the session alone", async () => {
    const { tokens } = await someone();
    const [sessionId, , secret] = tokens.refreshToken.split(".") as [string, string, string];
    const flipped = (secret.startsWith("A") ? "B" : "A") + secret.slice(1);
    const forged = [
      "nonsense",
      `${sessionId}.1.${flipped}`,
      `${sessionId}.2.${secret}`,
      `${mall.newId("ses")}.1.${secret}`,
      tokens.accessToken.slice(0, 200),
    ];
    const answers = [];
    for (const refreshToken of forged) {
      const { status, body } = await rest("/v1/auth/refresh", { refreshToken });
      answers.push({ status, body });
    }
    expect(answers[0]).toMatchObject({ status: 401, body: { reason: "UNAUTHENTICATED" } });
    for (const answer of answers) expect(answer).toEqual(answers[0]!);
    expect((await refresh(tokens)).refreshToken).toContain(".2.");
  });

  test("takes the roles that the account has now", async () => {
    const { email, tokens } = await someone();
    await createAuthCommands(resources, cheap).createAdmin(email);
    expect(decodeJwt((await refresh(tokens)).accessToken).roles).toEqual(["admin", "customer"]);
  });

  test("needs nothing in the database but id and generation", async () => {
    const { tokens } = await someone();
    const secret = tokens.refreshToken.split(".")[2]!;
    const rows = await mall.db.sql.unsafe("select sessions::text as row from auth.sessions");
    for (const { row } of rows) expect(row).not.toContain(secret);
  });
});

describe("signing out", () => {
  test("ends the session of the bearer and no other", async () => {
    const { email, tokens } = await someone();
    const other = (await auth().login({ email, password })).tokens!;
    const answer = await rest("/v1/auth/logout", {}, { authorization: `Bearer ${tokens.accessToken}` });
    expect({ status: answer.status, body: answer.body }).toEqual({ status: 200, body: {} });
    expect(await refusal(refresh(tokens))).toBe("Unauthenticated UNAUTHENTICATED");
    expect(await refusal(auth().logout({}, bearer(tokens.accessToken)))).toBe(
      "Unauthenticated UNAUTHENTICATED",
    );
    expect((await refresh(other)).refreshToken).toContain(".2.");
  });

  test("needs a bearer token", async () => {
    expect(await refusal(auth().logout({}))).toBe("Unauthenticated UNAUTHENTICATED");
  });
});

describe("an account", () => {
  test("is read by the user service and nobody else", async () => {
    const { email, user, tokens } = await someone();
    const asked = { userId: user.id };
    const { account } = await mall.client(AuthService, { service: "user" }).getAccount(asked);
    expect(account).toMatchObject({ id: user.id, email, roles: ["customer"] });
    expect(await refusal(auth().getAccount(asked))).toBe("PermissionDenied FORBIDDEN");
    expect(await refusal(auth().getAccount(asked, bearer(tokens.accessToken)))).toBe(
      "PermissionDenied FORBIDDEN",
    );
    expect(await refusal(mall.client(AuthService, { service: "gateway" }).getAccount(asked))).toBe(
      "PermissionDenied FORBIDDEN",
    );
  });

  test("that does not exist is not found", async () => {
    const user = mall.client(AuthService, { service: "user" });
    expect(await refusal(user.getAccount({ userId: mall.newId("usr") }))).toBe("NotFound ACCOUNT_NOT_FOUND");
    expect(await refusal(user.getAccount({ userId: mall.newId("ord") }))).toBe("InvalidArgument VALIDATION");
  });
});

describe("an administrator made by the command line", () => {
  const commands = () => createAuthCommands(resources, cheap);

  test("gets a random password that works, and is announced", async () => {
    const email = newEmail();
    const made = await commands().createAdmin(email.toUpperCase());
    expect(made.password).toMatch(/^[A-Za-z0-9_-]{24}$/);
    const { user } = await auth().login({ email, password: made.password! });
    expect(user?.roles).toEqual(["customer", "admin"]);
    expect(await eventsAbout(user!.id)).toHaveLength(1);
    expect(await commands().createAdmin(email)).toEqual({});
  });

  test("keeps the password and the other roles of an account that existed", async () => {
    const { email, user } = await someone();
    await mall.db.sql.unsafe("update auth.accounts set roles = '{customer,staff}' where id = $1", [
      uuidOf(user.id),
    ]);
    expect(await commands().createAdmin(email)).toEqual({});
    const again = await auth().login({ email, password });
    expect(again.user?.id).toBe(user.id);
    expect([...again.user!.roles].sort()).toEqual(["admin", "customer", "staff"]);
  });

  test("is made once when commanded several times at once", async () => {
    const email = newEmail();
    const made = await Promise.all(Array.from({ length: 4 }, () => commands().createAdmin(email)));
    expect(made.filter(({ password }) => password)).toHaveLength(1);
  });

  test("needs an e-mail address", async () => {
    expect(await refusal(commands().createAdmin("ada"))).toBe("InvalidArgument VALIDATION");
  });
});

describe("sweeping", () => {
  test("deletes sessions that have expired and no others", async () => {
    const old = await someone();
    mall.clock.advance(30 * 86_400);
    const fresh = await someone();
    await mall.app.sweep();
    const rows = await mall.db.sql.unsafe("select count(*)::int as n from auth.sessions");
    expect(rows[0]!.n).toBe(1);
    expect(await refusal(refresh(old.tokens))).toBe("Unauthenticated UNAUTHENTICATED");
    expect((await refresh(fresh.tokens)).refreshToken).toContain(".2.");
  });
});

describe("the environment", () => {
  test("keeps access tokens within 15 minutes", () => {
    const env = { ...resources.env, ACCESS_TOKEN_TTL_SECONDS: "901" };
    expect(() => createAuthService({ ...resources, env }, cheap)).toThrow("ACCESS_TOKEN_TTL_SECONDS");
  });
});

describe("an account at rest", () => {
  const stored = async (id: string) => {
    const [row] = await mall.db.sql`select email, display_name, personal, email_lookup from auth.accounts
      where id = ${uuidOf(id)}`;
    return row as unknown as Record<string, Uint8Array | string | null>;
  };
  /** Puts an account back as it was stored before it was sealed. */
  const unseal = (id: string, email: string) =>
    mall.db
      .sql`update auth.accounts set personal = null, email_lookup = null, email = ${email}, display_name = 'Ada'
      where id = ${uuidOf(id)}`;

  test("is sealed, and found by the keyed hash of its address", async () => {
    const { email, user } = await someone();
    const row = await stored(user.id);
    expect([row.email, row.display_name]).toEqual([null, ""]);
    expect(Buffer.from(row.personal as Uint8Array).includes(email)).toBe(false);
    expect(row.email_lookup).toHaveLength(32);
    expect((await auth().login({ email: email.toUpperCase(), password })).user).toEqual(user);
  });

  test("is nobody's when another one's bytes stand there, and an error", async () => {
    const [ada, eve] = [await someone(), await someone()];
    await mall.db.sql`update auth.accounts set personal =
      (select personal from auth.accounts where id = ${uuidOf(eve.user.id)}) where id = ${uuidOf(ada.user.id)}`;
    expect(await refusal(auth().login({ email: ada.email, password }))).toBe("Internal INTERNAL");
    expect((await auth().login({ email: eve.email, password })).user).toEqual(eve.user);
  });

  test("from before it was sealed signs in, keeps its address for itself, and is sealed", async () => {
    const { email, user } = await someone();
    await unseal(user.id, email);
    const before = (await auth().login({ email, password })).user;
    expect(before).toMatchObject({ id: user.id, email, displayName: "Ada" });
    expect(await refusal(auth().register({ email, password }))).toBe("AlreadyExists EMAIL_TAKEN");
    expect(await mall.app.dataKeys.seal()).toBe(1);
    expect((await auth().login({ email, password })).user).toEqual(before);
    expect(await refusal(auth().register({ email, password }))).toBe("AlreadyExists EMAIL_TAKEN");
    const row = await stored(user.id);
    expect([row.email, row.display_name]).toEqual([null, ""]);
  });

  test("that is erased signs nobody in", async () => {
    const { email, user } = await someone();
    await mall.app.dataKeys.erase(user.id as `usr_${string}`);
    expect(await refusal(auth().login({ email, password }))).toBe("Unauthenticated INVALID_CREDENTIALS");
  });
});
