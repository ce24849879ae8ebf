import { beforeAll, describe, expect, test } from "bun:test";
import { mall, newAdmin, newApiKey, newUserWith } from "./command";
import { host, hostKind } from "./host";
import { mailedCode } from "./mails";
import { type Answer, inStock, newUser, type Options, type Problem, rest } from "./shop";

interface Tokens {
  accessToken: string;
  refreshToken: string;
}
interface SignedIn {
  user: { id: string; email: string; roles: string[] };
  tokens: Tokens;
}
interface AccessAnswer {
  access: { roles: string[]; status: string; banReason: string };
}

const next = "a stapler of another horse";
let admin: Options;
let stockPath: string;
beforeAll(async () => {
  admin = await newAdmin();
  stockPath = `/v1/inventory/${(await inStock()).id}`;
});

const post = <T = Problem>(path: string, body: object, options: Options = {}) =>
  rest<T>("POST", path, body, options);
const signIn = (email: string, password: string) => post<SignedIn>("/v1/auth/login", { email, password });
const refresh = ({ refreshToken }: { refreshToken: string }) => post("/v1/auth/refresh", { refreshToken });

/** Waits until another service than auth refuses a token: a second, and a moment for the answer that shows it. */
async function isRefused(token: string, path = "/v1/orders"): Promise<boolean> {
  for (const until = performance.now() + 2_500; performance.now() < until; )
    if ((await rest("GET", path, undefined, { token })).status === 401) return true;
  return false;
}

/** What an answer tells beside its request id. */
const told = ({ status, body, headers }: Answer<unknown>) => ({
  status,
  body: { ...(body as object), instance: "" },
  headers: [...headers.keys()].filter((name) => !/^(?:date|keep-alive|connection|ratelimit.*)$/.test(name)),
});

describe(`a password (${hostKind})`, () => {
  test("that is changed ends every other session and token everywhere, and goes on with a new session", async () => {
    const { token, email, password, refreshToken } = await newUser();
    const other = (await signIn(email, password)).body.tokens;
    const wrong = { currentPassword: "a guess", newPassword: next };
    expect(await post("/v1/auth/password", wrong, { token })).toMatchObject({
      ...{ status: 401, body: { reason: "INVALID_CREDENTIALS" } },
    });
    const right = { currentPassword: password, newPassword: next };
    const changed = await post<{ tokens: Tokens }>("/v1/auth/password", right, { token });
    expect(changed.status).toBe(200);
    // auth itself refuses at once
    expect((await rest("GET", "/v1/me/sessions", undefined, { token })).status).toBe(401);
    for (const ended of [token, other.accessToken]) expect(await isRefused(ended)).toBe(true);
    for (const ended of [{ refreshToken }, other]) expect((await refresh(ended)).status).toBe(401);
    const { tokens } = changed.body;
    expect((await rest("GET", "/v1/orders", undefined, { token: tokens.accessToken })).status).toBe(200);
    expect((await refresh(tokens)).status).toBe(200);
    expect((await signIn(email, password)).status).toBe(401);
    expect((await signIn(email, next)).status).toBe(200);
  });

  test("that was forgotten is replaced by mail, once, and ends every session and token", async () => {
    const { token, email, password, refreshToken } = await newUser();
    expect((await post("/v1/auth/password-reset", { email: email.toUpperCase() })).status).toBe(200);
    const code = await mailedCode(email, "rst");
    const confirm = (newPassword: string) => post("/v1/auth/password-reset/confirm", { code, newPassword });
    expect(await confirm("password123")).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: "#/newPassword" }] },
    });
    expect((await confirm(next)).status).toBe(200);
    expect(await isRefused(token)).toBe(true);
    expect((await refresh({ refreshToken })).status).toBe(401);
    expect((await signIn(email, password)).status).toBe(401);
    expect((await signIn(email, next)).body.user).toMatchObject({ emailVerified: true });
    expect(await confirm("yet another long horse")).toMatchObject({
      status: 400,
      body: { reason: "CODE_INVALID" },
    });
  });

  test.each(["password123", "Qwertyuiop", "1q2w3e4r5t", "aaaaaaaaaaaa"])(
    "that everybody tries first is refused: %s",
    async (password) => {
      const email = `weak-${crypto.randomUUID()}@example.com`;
      const refused = await post("/v1/auth/register", { email, password });
      expect([refused.status, refused.body.errors[0]?.pointer]).toEqual([400, "#/password"]);
    },
  );
});

describe(`who has an account (${hostKind})`, () => {
  const unknown = () => `nobody-${crypto.randomUUID()}@example.com`;

  test("is told neither by signing in nor by asking for another password", async () => {
    const { email } = await newUser();
    const signIns = [await signIn(email, "a guess"), await signIn(unknown(), "a guess")];
    expect(told(signIns[1]!)).toEqual(told(signIns[0]!));
    const resets = [];
    for (const address of [email, unknown(), email])
      resets.push(await post("/v1/auth/password-reset", { email: address }));
    expect(resets.map(told)).toEqual([told(resets[0]!), told(resets[0]!), told(resets[0]!)]);
    expect(resets[0]!.status).toBe(200);
  });

  test("is told by no code: made up ones of theirs and of nobody answer alike", async () => {
    const { id } = await newUser();
    const mac = "A".repeat(43);
    const own = id.replace("usr_", "rst_");
    const answers: Answer<Problem>[] = [];
    for (const code of [`${own}.${mac}`, `rst_01h00000000000000000000000.${mac}`, "nonsense"])
      answers.push(await post("/v1/auth/password-reset/confirm", { code, newPassword: next }));
    expect(answers.map(told)).toEqual(answers.map(() => told(answers[0]!)));
    expect(answers[0]!.body.reason).toBe("CODE_INVALID");
  });
});

describe(`an e-mail address (${hostKind})`, () => {
  const password = "correct horse battery staple";
  const register = (email: string) => post<SignedIn>("/v1/auth/register", { email, password });

  test("has one account, however it is written and however many register it at once", async () => {
    const name = `zoe\u0301-${crypto.randomUUID().slice(0, 8)}`;
    const domains = ["b\u00fccher.example", "BU\u0308CHER.example", "xn--bcher-kva.example"];
    const written = [name, name.toUpperCase(), name.normalize("NFC")].flatMap((local) =>
      domains.flatMap((domain) => [`${local}@${domain}`, `  ${local}@${domain} `]),
    );
    const answers = await Promise.all([...written, ...written.slice(0, 2)].map(register));
    expect(answers).toHaveLength(20);
    const made = answers.filter(({ status }) => status === 201);
    expect(made.map(({ body }) => body.user.email)).toEqual([
      `${name.normalize("NFC")}@xn--bcher-kva.example`,
    ]);
    const refused = answers.filter(({ status }) => status !== 201) as unknown as Answer<Problem>[];
    expect(refused.map(({ body }) => body.reason)).toEqual(refused.map(() => "EMAIL_TAKEN"));
    const id = made[0]!.body.user.id;
    for (const spelling of written.slice(0, 4))
      expect((await signIn(spelling, password)).body.user.id).toBe(id);
  });

  test("that only looks like another one is another one, and opens nothing", async () => {
    const name = `ada.${crypto.randomUUID().slice(0, 8)}`;
    const owner = (await register(`${name}@example.com`)).body.user;
    const looks = [
      `\u0430${name.slice(1)}@example.com`,
      `${name}@ex\u0430mple.com`,
      `${name.replace(".", "")}@example.com`,
    ];
    for (const look of looks) {
      expect((await signIn(look, password)).status).toBe(401);
      const made = await register(look);
      expect([look, made.status]).toEqual([look, 201]);
      expect(made.body.user.id).not.toBe(owner.id);
      await post("/v1/auth/password-reset", { email: look });
    }
    const code = await mailedCode((await signIn(looks[2]!, password)).body.user.email, "rst");
    expect(code).toStartWith("rst_");
    const { mails } = await host();
    expect(mails.mails.filter(({ to }) => to.includes(owner.email))).toEqual([]);
    for (const letters of [`\uff41${name.slice(1)}`, `${name}\u200b`, `\u202e${name}`])
      expect((await register(`${letters}@example.com`)).status).toBe(400);
  });
});

describe(`an administrator (${hostKind})`, () => {
  const path = (id: string, rest = "status") => `/v1/users/${id}/${rest}`;
  const put = (id: string, status: string) =>
    rest<AccessAnswer>("PUT", path(id), { status: `USER_STATUS_${status}`, reason: "fraud" }, admin);

  test("bans a user, whose tokens, sign-ins and API keys are refused within a second until the ban is lifted", async () => {
    const banned = await newUser();
    await rest("PUT", path(banned.id, "roles/staff"), {}, admin);
    const { email, password } = banned;
    const { tokens } = (await signIn(email, password)).body;
    const { key } = await newApiKey({ token: tokens.accessToken }, "stock.read");
    expect((await rest("GET", stockPath, undefined, { token: key })).status).toBe(200);
    expect((await put(banned.id, "BANNED")).body.access).toMatchObject({
      status: "USER_STATUS_BANNED",
      banReason: "fraud",
    });
    expect((await rest("GET", "/v1/me/sessions", undefined, { token: tokens.accessToken })).status).toBe(401);
    expect(await isRefused(tokens.accessToken)).toBe(true);
    expect(await isRefused(key, stockPath)).toBe(true);
    expect((await refresh(tokens)).status).toBe(401);
    expect(await signIn(email, password)).toMatchObject({ status: 403, body: { reason: "USER_BLOCKED" } });
    expect(await signIn(email, "a guess")).toMatchObject({
      status: 401,
      body: { reason: "INVALID_CREDENTIALS" },
    });

    expect((await put(banned.id, "ACTIVE")).body.access.status).toBe("USER_STATUS_ACTIVE");
    expect((await signIn(email, password)).status).toBe(200);
    await Bun.sleep(1_000);
    expect((await rest("GET", stockPath, undefined, { token: key })).status).toBe(200);
  });

  test("gives and takes a role that operators defined, which acts with the next token", async () => {
    const role = `clerk-${crypto.randomUUID().slice(0, 8)}`;
    await rest("PUT", `/v1/policy/roles/${role}`, { permissions: ["stock.read"] }, admin);
    await Bun.sleep(1_000);
    const { id, token, refreshToken } = await newUser();
    const stock = async (as: string) => (await rest("GET", stockPath, undefined, { token: as })).status;
    expect(await stock(token)).toBe(403);
    const granted = await rest<AccessAnswer>("PUT", path(id, `roles/${role}`), {}, admin);
    expect(granted.body.access.roles).toEqual(["customer", role]);
    expect(await isRefused(token)).toBe(true);
    const knowing = (await post<{ tokens: Tokens }>("/v1/auth/refresh", { refreshToken })).body.tokens;
    expect(await stock(knowing.accessToken)).toBe(200);
    const taken = await rest<AccessAnswer>("DELETE", path(id, `roles/${role}`), undefined, admin);
    expect(taken.body.access.roles).toEqual(["customer"]);
    expect(await isRefused(knowing.accessToken)).toBe(true);
    expect((await rest("PUT", path(id, "roles/none-such"), {}, admin)).status).toBe(404);
    await rest("DELETE", `/v1/policy/roles/${role}`, undefined, admin);
  });

  test("does the same by command, by address or id", async () => {
    const { id, email } = await newUser();
    const said = async (...args: string[]) => (await mall("admin", ...args)).text.trim();
    expect(await said("show", email)).toBe(`${id}: customer, active`);
    expect(await said("grant", email, "staff")).toBe(`${id}: customer staff, active`);
    expect(await said("ban", id, "fraud")).toBe(`${id}: customer staff, banned (fraud)`);
    expect(await said("unban", id, "appeal")).toBe(`${id}: customer staff, active`);
    expect(await said("revoke", email, "staff")).toBe(`${id}: customer, active`);
    expect(await mall("admin", "ban", email)).toMatchObject({ exitCode: 2 });
    expect((await mall("admin", "show", "nobody@example.com")).exitCode).toBe(1);
  });

  test("is who else nobody is: staff neither ban nor give roles, not even to themselves", async () => {
    const staff = await newUserWith("customer", "staff");
    for (const [verb, tail] of [
      ["PUT", "roles/admin"],
      ["DELETE", "roles/staff"],
      ["GET", "access"],
      ["PUT", "status"],
    ] as const) {
      const body = verb === "PUT" ? {} : undefined;
      expect([tail, (await rest(verb, path(staff.id, tail), body, staff)).status]).toEqual([tail, 403]);
    }
  });
});
