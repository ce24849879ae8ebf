import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { EmailService } from "@mall/gen/mall/auth/v1/email_pb";
import { PasswordService } from "@mall/gen/mall/auth/v1/passwords_pb";
import type { Resources } from "@mall/kernel/app";
import { faultInfo } from "@mall/kernel/fault";
import { uuidOf } from "@mall/kernel/id";
import { counted } from "@mall/kernel/testing/counted";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { mailSink } from "@mall/kernel/testing/mail-sink";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { attemptWindows } from "./domain/attempts";
import { bunPasswords } from "./password/bun";
import type { Passwords } from "./password/port";
import { createAuthService } from "./service";

const password = "correct horse battery";
const next = "a stapler of another horse";
const sink = mailSink();
const cheap = bunPasswords({ memoryKib: 64, passes: 1 });
/** How many passwords were hashed or verified. */
let looked = 0;
/** What happens elsewhere while a password is hashed or verified. */
let meanwhile = async () => {};
/** Does something while the next password is looked at. */
const once = (work: () => Promise<unknown>) => {
  meanwhile = async () => {
    meanwhile = async () => {};
    await work();
  };
};
const passwords: Passwords = {
  ...cheap,
  async hash(text) {
    looked++;
    const phc = await cheap.hash(text);
    await meanwhile();
    return phc;
  },
  async verify(text, phc) {
    looked++;
    const matches = await cheap.verify(text, phc);
    await meanwhile();
    return matches;
  },
};
/** What goes on after the answers. */
const going: Promise<unknown>[] = [];
let statements = () => 0;
let mall: Harness;
beforeAll(async () => {
  const background = (work: Promise<unknown>) => void going.push(work);
  const create = (given: Resources) => {
    const { db, ...counts } = counted(given.db);
    statements = counts.statements;
    return createAuthService({ ...given, db, background }, passwords);
  };
  mall = await harness("auth", create, { env: sink.env });
});
afterAll(async () => {
  await mall.stop();
  await sink.stop();
});
beforeEach(() => {
  meanwhile = async () => {};
  sink.answer();
  // what one test asked for does not count in the next
  mall.clock.advance(24 * 3600);
});

const auth = () => mall.client(AuthService);
const secret = () => mall.client(PasswordService);
const bearer = (tokens: { accessToken: string }) => ({
  headers: { authorization: `Bearer ${tokens.accessToken}` },
});
let people = 0;

/** Somebody who has just registered. */
async function someone(displayName = "Ada") {
  const email = `person-${++people}@example.com`;
  const { user, tokens } = await auth().register({ email, password, displayName });
  return { id: user!.id, email, tokens: tokens! };
}

type Person = Awaited<ReturnType<typeof someone>>;

const signIn = async (email: string, with_ = password) =>
  (await auth().login({ email, password: with_ })).tokens!;
const change = (tokens: { accessToken: string }, newPassword = next, currentPassword = password) =>
  secret().changePassword({ currentPassword, newPassword }, bearer(tokens));
/** What a token is good for: empty when for all. */
const judge = (tokens: { accessToken: string }) =>
  reasonOf(mall.client(EmailService).requestEmailVerification({}, bearer(tokens)));
const refresh = ({ refreshToken }: { refreshToken: string }) => auth().refreshToken({ refreshToken });

/** Everything that is due is sent, or tried. */
async function relay(): Promise<void> {
  await Promise.allSettled(going.splice(0));
  await mall.app.sweep();
}

const mailsTo = async (address: string, subject: string) => {
  await relay();
  return sink.mails.filter((mail) => mail.to.includes(address) && mail.subject.includes(subject));
};
const resetsTo = (address: string) => mailsTo(address, "Set a new password");
const codeOf = async (email: string): Promise<string> =>
  /rst_\S+/.exec((await resetsTo(email)).at(-1)?.text ?? "")?.[0] ?? "";
const requestReset = (email: string) => secret().requestPasswordReset({ email });
const reset = (code: string, newPassword = next) => secret().resetPassword({ code, newPassword });

async function forgetful(): Promise<Person & { code: string }> {
  const person = await someone();
  await requestReset(person.email);
  return { ...person, code: await codeOf(person.email) };
}

const eventsOf = async (subject: string) =>
  (await mall.audit({ subject })).map(({ action, reason = "ok" }) => `${action} ${reason}`).sort();

describe("changing the password", () => {
  test("ends every session and every token at once, and goes on with a new session", async () => {
    const person = await someone();
    const other = await signIn(person.email);
    const { tokens } = await change(person.tokens);
    expect(await Promise.all([person.tokens, other].map(judge))).toEqual([
      "UNAUTHENTICATED",
      "UNAUTHENTICATED",
    ]);
    for (const ended of [person.tokens, other])
      expect(await reasonOf(refresh(ended))).toBe("UNAUTHENTICATED");
    expect(await judge(tokens!)).toBe("");
    expect(await reasonOf(refresh(tokens!))).toBe("");
    expect(await reasonOf(signIn(person.email))).toBe("INVALID_CREDENTIALS");
    expect(await reasonOf(signIn(person.email, next))).toBe("");
    expect(await eventsOf(person.id)).toContain("ChangePassword ok");
    const [notice, ...more] = await mailsTo(person.email, "Your password was changed");
    expect(more).toEqual([]);
    expect(notice!.text).not.toContain("rst_");
  });

  test("needs the present password, and then changes nothing", async () => {
    const person = await someone();
    expect(await reasonOf(change(person.tokens, next, "a wrong horse"))).toBe("INVALID_CREDENTIALS");
    expect(await judge(person.tokens)).toBe("");
    expect(await reasonOf(signIn(person.email))).toBe("");
    expect(await eventsOf(person.id)).toContain("ChangePassword INVALID_CREDENTIALS");
    expect(await reasonOf(secret().changePassword({ currentPassword: password, newPassword: next }))).toBe(
      "UNAUTHENTICATED",
    );
  });

  test("several times at once succeeds once", async () => {
    const person = await someone();
    const wanted = Array.from({ length: 5 }, (_, i) => `horse number ${i} of five`);
    const met = await Promise.all(wanted.map((text) => reasonOf(change(person.tokens, text))));
    expect(met.filter((reason) => reason === "")).toHaveLength(1);
    const good = await Promise.all(wanted.map((text) => reasonOf(signIn(person.email, text))));
    expect(good.map((reason) => reason === "")).toEqual(met.map((reason) => reason === ""));
  });

  test("while it is being changed does not bring back what was verified before", async () => {
    const person = await someone();
    once(() => change(person.tokens));
    expect(await reasonOf(change(person.tokens, "yet another long horse"))).toBe("INVALID_CREDENTIALS");
    expect(await reasonOf(signIn(person.email, next))).toBe("");
  });

  test("while somebody signs in with the one before lets nobody in by that", async () => {
    const person = await someone();
    once(() => change(person.tokens));
    expect(await reasonOf(signIn(person.email))).toBe("INVALID_CREDENTIALS");
    const live = await mall.db
      .sql`select 1 from auth.sessions where user_id = ${uuidOf(person.id)} and revoked_at is null`;
    expect(live).toHaveLength(1);
  });

  test("makes a code for a reset invalid that was sent before", async () => {
    const { code, tokens } = await forgetful();
    await change(tokens);
    expect(await reasonOf(reset(code, "yet another long horse"))).toBe("CODE_INVALID");
  });
});

describe("a forgotten password", () => {
  test("is replaced by the code from the mail, once, and ends every session and token at once", async () => {
    const { id, email, tokens, code } = await forgetful();
    expect(await reasonOf(reset(code))).toBe("");
    expect(await judge(tokens)).toBe("UNAUTHENTICATED");
    expect(await reasonOf(refresh(tokens))).toBe("UNAUTHENTICATED");
    expect(await reasonOf(signIn(email))).toBe("INVALID_CREDENTIALS");
    expect((await auth().login({ email, password: next })).user).toMatchObject({ id, emailVerified: true });
    expect(await reasonOf(reset(code, "yet another long horse"))).toBe("CODE_INVALID");
    const log = ["Login INVALID_CREDENTIALS", "MailPasswordReset ok", "Register ok", "ResetPassword ok"];
    expect(await eventsOf(id)).toEqual(log);
    const [resetId] = code.split(".") as [string];
    expect(await eventsOf(resetId)).toEqual(["RequestPasswordReset ok", "ResetPassword CODE_INVALID"]);
    expect(await mailsTo(email, "Your password was changed")).toHaveLength(1);
  });

  test("is replaced by one of all who present the code at once", async () => {
    const { code } = await forgetful();
    const all = Array.from({ length: 10 }, (_, i) => reasonOf(reset(code, `horse number ${i} of ten`)));
    const met = (await Promise.all(all)).toSorted();
    expect(met).toEqual(["", ...Array.from({ length: 9 }, () => "CODE_INVALID")]);
  });

  test("is not replaced by a code that has ended, was made up, or was sent before another one", async () => {
    const { id, email, code } = await forgetful();
    const other = await forgetful();
    const [resetId, mac] = code.split(".") as [string, string];
    const made = [
      `${resetId}.${"A".repeat(43)}`,
      `${mall.newId("rst")}.${mac}`,
      `${other.code.split(".")[0]}.${mac}`,
      `${id}.1.${mac}`,
      "nonsense",
    ];
    const before = looked;
    for (const text of made) expect(await reasonOf(reset(text))).toBe("CODE_INVALID");
    expect(looked).toBe(before);
    mall.clock.advance(60);
    await requestReset(email);
    const second = await codeOf(email);
    expect(second).not.toBe(code);
    expect(await reasonOf(reset(code))).toBe("CODE_INVALID");
    mall.clock.advance(30 * 60);
    expect(await reasonOf(reset(second))).toBe("CODE_INVALID");
    expect(await reasonOf(signIn(email))).toBe("");
  });

  test("that others guessed at from everywhere lets its owner in again once it is replaced", async () => {
    const { email, code } = await forgetful();
    const from = (address: string, text: string) =>
      reasonOf(mall.client(AuthService, { client: { address } }).login({ email, password: text }));
    for (let n = 0; n < attemptWindows.account.most; n++) await from(`198.51.${n}.1`, "a wrong horse");
    expect(await from("192.0.2.1", password)).toBe("RATE_LIMITED");
    await reset(code);
    expect(await from("192.0.2.1", next)).toBe("");
  });

  test("leaves the code good when the new one is refused", async () => {
    const { email, code } = await forgetful();
    for (const bad of ["password123", email, "aaaaaaaaaaaa"])
      expect([bad, await reasonOf(reset(code, bad))]).toEqual([bad, "VALIDATION"]);
    expect(await reasonOf(reset(code))).toBe("");
  });

  test("is nobody's any more once the address is another one", async () => {
    const { email, code, tokens } = await forgetful();
    const moved = `moved-${email}`;
    await mall.client(EmailService).requestEmailChange({ email: moved, password }, bearer(tokens));
    await relay();
    const mail = sink.mails.findLast(({ to, text }) => to.includes(moved) && text.includes("usr_"))!;
    await mall.client(EmailService).confirmEmailChange({ code: /usr_\S+/.exec(mail.text)![0] });
    expect(await reasonOf(reset(code))).toBe("CODE_INVALID");
    expect(await reasonOf(signIn(moved))).toBe("");
  });

  test("is asked for with the same answer and the same work, whether the address has an account or not", async () => {
    const { email } = await someone();
    const wanted = [email, `nobody-${email}`, email.toUpperCase(), `nobody-${email}`];
    const met: unknown[] = [];
    for (const address of wanted) {
      await relay();
      const [before, hashes] = [statements(), looked];
      const response = await mall.app.fetch(
        new Request("http://auth/v1/auth/password-reset", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ email: address }),
        }),
      );
      const [spent, text] = [statements() - before, await response.text()];
      const { "x-request-id": _, ...headers } = Object.fromEntries(response.headers);
      met.push([response.status, text, headers, spent, looked - hashes]);
    }
    const [known, unknown, knownAgain, unknownAgain] = met as [unknown[], unknown, unknown, unknown];
    expect(known).toMatchObject([200, "{}", {}, expect.any(Number), 0]);
    expect(unknown).toEqual(known);
    expect(unknownAgain).toEqual(knownAgain);
    expect(await resetsTo(email)).toHaveLength(1);
    expect(await resetsTo(`nobody-${email}`)).toEqual([]);
  });

  test("brings one mail a minute, three at first and then one an hour", async () => {
    const { email } = await someone();
    await Promise.all([1, 2, 3].map(() => requestReset(email)));
    expect(await resetsTo(email)).toHaveLength(1);
    const after = async (seconds: number) => {
      mall.clock.advance(seconds);
      await requestReset(email);
      return (await resetsTo(email)).length;
    };
    expect([await after(59), await after(1), await after(60), await after(60)]).toEqual([1, 2, 3, 3]);
    expect([await after(3600 - 180), await after(60), await after(3540)]).toEqual([4, 4, 5]);
    expect(await reasonOf(reset(await codeOf(email)))).toBe("");
  });

  test("is a mail that goes to the account's own address and leaves no code and no address behind", async () => {
    const person = await someone();
    await requestReset(`  ${person.email.toUpperCase()} `);
    const code = await codeOf(person.email);
    const [mail] = await resetsTo(person.email);
    expect(mail!.to).toEqual([person.email]);
    const left = await Promise.all(
      ["outbox", "password_resets", "audit_events", "dead_letters"].map((table) =>
        mall.db.sql.unsafe(`select t::text as row from auth.${table} t`),
      ),
    );
    const text = JSON.stringify(left);
    expect(text).toContain("PasswordResetRequested");
    expect(text).not.toContain(person.email);
    expect(text).not.toContain(code.split(".")[1]!);
  });

  test("whose mail is late is not sent once the code has ended", async () => {
    sink.answer(() => new Response(null, { status: 503 }));
    const { email } = await someone();
    await requestReset(email);
    await relay();
    mall.clock.advance(30 * 60);
    sink.answer();
    expect(await resetsTo(email)).toEqual([]);
  });

  test("is forgotten itself once it no longer counts", async () => {
    await forgetful();
    const count = async () => (await mall.db.sql`select 1 from auth.password_resets`).length;
    mall.clock.advance(3599);
    await mall.app.sweep();
    expect(await count()).toBe(1);
    mall.clock.advance(1);
    await mall.app.sweep();
    expect(await count()).toBe(0);
  });
});

describe("a password", () => {
  const register = (given: string, displayName = "Ada Lovelace") =>
    reasonOf(auth().register({ email: `ada-${++people}@example.com`, password: given, displayName }));

  test.each([
    ["is common", "password123"],
    ["is common in another case", "QwertyUiop"],
    ["is common in wide letters", "ｐａｓｓｗｏｒｄ１２３"],
    ["is one character again and again", "zzzzzzzzzzzz"],
    ["is the name", "ada lovelace"],
    ["is the name without its space", "AdaLovelace"],
    ["has 8 characters only until they are composed", "e\u0301".repeat(4)],
  ])("that %s is refused before it is hashed", async (_what, given) => {
    const before = looked;
    expect(await register(given)).toBe("VALIDATION");
    expect(looked).toBe(before);
  });

  test("that is the address or what stands before the @ is refused", async () => {
    const email = `countess-${++people}@example.com`;
    for (const given of [email, email.toUpperCase(), email.split("@")[0]!])
      expect(await reasonOf(auth().register({ email, password: given }))).toBe("VALIDATION");
  });

  test("needs no digits, signs or capitals, and may hold anything, up to 128 characters", async () => {
    for (const given of [
      "horses eat hay",
      "🐎🐴🦄🎠🏇🐎🐴🦄",
      "     x     ",
      "пароль-лошади",
      "x1".repeat(64),
    ])
      expect([given, await register(given)]).toEqual([given, ""]);
    expect(await register(`${"x1".repeat(64)}y`)).toBe("VALIDATION");
    expect(await register("🐎🐴🦄🎠🏇🐎🐴")).toBe("VALIDATION");
  });

  test("that is refused is named by its field", async () => {
    const person = await someone();
    const refused: unknown = await change(person.tokens, "password123").catch((error: unknown) => error);
    expect(faultInfo(refused)?.violations.map(({ pointer }) => pointer)).toEqual(["#/newPassword"]);
  });

  test("works in whichever Unicode form it is typed", async () => {
    const person = await someone();
    await change(person.tokens, "cafe\u0301 au lait \ufb01n");
    expect(await reasonOf(signIn(person.email, "caf\u00e9 au lait fin"))).toBe("");
    expect(await reasonOf(signIn(person.email, "cafe au lait fin"))).toBe("INVALID_CREDENTIALS");
  });
});
