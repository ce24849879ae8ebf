import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import { EmailService } from "@mall/gen/mall/auth/v1/email_pb";
import type { Resources } from "@mall/kernel/app";
import { attemptsMax } from "@mall/kernel/bus/timing";
import { uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { mailSink } from "@mall/kernel/testing/mail-sink";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { bunPasswords } from "./password/bun";
import { createAuthService } from "./service";

const password = "correct horse battery";
const sink = mailSink();
/** What goes on after the answers. */
const going: Promise<unknown>[] = [];
let mall: Harness;
beforeAll(async () => {
  const passwords = bunPasswords({ memoryKib: 64, passes: 1 });
  const background = (work: Promise<unknown>) => void going.push(work);
  const create = (given: Resources) => createAuthService({ ...given, background }, passwords);
  mall = await harness("auth", create, { env: sink.env });
});
afterAll(async () => {
  await mall.stop();
  await sink.stop();
});
beforeEach(() => sink.answer());

const auth = () => mall.client(AuthService);
const email = () => mall.client(EmailService);
let people = 0;

/** Somebody who has just registered. */
async function someone(displayName = "Ada") {
  const address = `person-${++people}@example.com`;
  const { user, tokens } = await auth().register({ email: address, password, displayName });
  const headers = { authorization: `Bearer ${tokens!.accessToken}` };
  return {
    id: user!.id,
    address,
    verify: () => email().requestEmailVerification({}, { headers }),
    change: (to: string, given = password) =>
      email().requestEmailChange({ email: to, password: given }, { headers }),
  };
}

const mailsTo = (address: string) => sink.mails.filter(({ to }) => to.includes(address));
const codeIn = (text: string): string => /usr_\S+/.exec(text)?.[0] ?? "";
/** Everything that is due is sent, or tried. */
async function relay(): Promise<void> {
  await Promise.allSettled(going.splice(0));
  await mall.app.sweep();
}

/** The code in the newest mail to an address. */
async function codeFor(address: string): Promise<string> {
  await relay();
  return codeIn(mailsTo(address).at(-1)?.text ?? "");
}

const rows = async (text: string, ...values: unknown[]) =>
  JSON.parse(JSON.stringify(await mall.db.sql.unsafe(text, values as never[])));

const isVerified = async (id: string) =>
  (await mall.client(AuthService, { service: "user" }).getAccount({ userId: id })).account!.emailVerified;

describe("an address", () => {
  test("is verified by the code that was sent to it, once", async () => {
    const person = await someone();
    await person.verify();
    const code = await codeFor(person.address);
    expect(await isVerified(person.id)).toBe(false);
    const { user } = await email().verifyEmail({ code });
    expect(user).toMatchObject({ id: person.id, email: person.address, emailVerified: true });
    expect(await reasonOf(email().verifyEmail({ code }))).toBe("CODE_INVALID");
    await relay();
    expect(mailsTo(person.address)).toHaveLength(1);
    const log = (await mall.audit({ subject: person.id })).map(
      ({ action, reason = "ok" }) => `${action} ${reason}`,
    );
    expect(log.sort()).toEqual([
      "Register ok",
      "RequestEmailVerification ok",
      "VerifyEmail CODE_INVALID",
      "VerifyEmail ok",
    ]);
  });

  test("is verified by one of all who present the code at once", async () => {
    const person = await someone();
    await person.verify();
    const code = await codeFor(person.address);
    const all = await Promise.all(Array.from({ length: 10 }, () => reasonOf(email().verifyEmail({ code }))));
    expect(all.filter((reason) => reason === "")).toHaveLength(1);
    expect(all.filter((reason) => reason === "CODE_INVALID")).toHaveLength(9);
  });

  test("gets one mail a minute, whose code takes the place of the one before", async () => {
    const person = await someone();
    await Promise.all([person.verify(), person.verify(), person.verify()]);
    const first = await codeFor(person.address);
    mall.clock.advance(59);
    await person.verify();
    await relay();
    expect(mailsTo(person.address)).toHaveLength(1);
    mall.clock.advance(1);
    await person.verify();
    const second = await codeFor(person.address);
    expect(mailsTo(person.address)).toHaveLength(2);
    expect(await reasonOf(email().verifyEmail({ code: first }))).toBe("CODE_INVALID");
    expect(await reasonOf(email().verifyEmail({ code: second }))).toBe("");
    mall.clock.advance(60);
    await person.verify();
    await relay();
    expect(mailsTo(person.address)).toHaveLength(2);
  });

  test("is not verified by a code that has ended, was made up, or is for something else or somebody else", async () => {
    const [person, other] = [await someone(), await someone()];
    await person.verify();
    await other.change(`other-${other.address}`);
    const code = await codeFor(person.address);
    const foreign = codeIn(mailsTo(`other-${other.address}`).at(-1)!.text);
    const [id, generation, secret] = code.split(".") as [string, string, string];
    const made = [
      `${id}.${Number(generation) + 1}.${secret}`,
      `${other.id}.${generation}.${secret}`,
      `${id}.${generation}.${"A".repeat(43)}`,
      `${mall.newId("usr")}.1.${secret}`,
      foreign,
      "nonsense",
    ];
    for (const text of made) expect(await reasonOf(email().verifyEmail({ code: text }))).toBe("CODE_INVALID");
    expect(await reasonOf(email().confirmEmailChange({ code }))).toBe("CODE_INVALID");
    mall.clock.advance(24 * 3600);
    expect(await reasonOf(email().verifyEmail({ code }))).toBe("CODE_INVALID");
    expect(await isVerified(person.id)).toBe(false);
  });
});

describe("another address", () => {
  test("is the account's once its code is confirmed, verified, and the present one is told before", async () => {
    const person = await someone();
    const wanted = `New.${person.address}`;
    await person.change(wanted);
    const code = await codeFor(wanted.toLowerCase());
    expect(code).toStartWith(person.id);
    const [notice, ...more] = mailsTo(person.address);
    expect(more).toEqual([]);
    expect(notice!.subject).toContain("about to change");
    expect(notice!.text).not.toContain(person.id);
    expect(await reasonOf(auth().login({ email: wanted, password }))).toBe("INVALID_CREDENTIALS");

    const { user } = await email().confirmEmailChange({ code });
    expect(user).toMatchObject({ id: person.id, email: wanted.toLowerCase(), emailVerified: true });
    expect(await reasonOf(email().confirmEmailChange({ code }))).toBe("CODE_INVALID");
    expect((await auth().login({ email: wanted, password })).user?.id).toBe(person.id);
    expect(await reasonOf(auth().login({ email: person.address, password }))).toBe("INVALID_CREDENTIALS");
    expect(
      await rows("select consumer, data from auth.outbox where type = 'mall.auth.v1.EmailChanged'"),
    ).toEqual([{ consumer: "user", data: { userId: person.id } }]);
    expect(await rows("select personal from auth.codes where user_id = $1", uuidOf(person.id))).toEqual([
      { personal: null },
    ]);
  });

  test("is not sent anything without the password", async () => {
    const person = await someone();
    expect(await reasonOf(person.change(`new-${person.address}`, "a wrong horse"))).toBe(
      "INVALID_CREDENTIALS",
    );
    await relay();
    expect([...mailsTo(person.address), ...mailsTo(`new-${person.address}`)]).toEqual([]);
  });

  test("that has an account is not told of, and not taken from it", async () => {
    const [person, owner] = [await someone(), await someone()];
    expect(await reasonOf(person.change(owner.address))).toBe("");
    const code = await codeFor(owner.address);
    expect(await reasonOf(email().confirmEmailChange({ code }))).toBe("EMAIL_TAKEN");
    expect((await auth().login({ email: owner.address, password })).user?.id).toBe(owner.id);
    expect((await auth().login({ email: person.address, password })).user?.id).toBe(person.id);
  });

  test("is confirmed within an hour", async () => {
    const person = await someone();
    await person.change(`new-${person.address}`);
    const code = await codeFor(`new-${person.address}`);
    mall.clock.advance(3600);
    expect(await reasonOf(email().confirmEmailChange({ code }))).toBe("CODE_INVALID");
  });
});

describe("a mail", () => {
  test("holds names as text, whatever they are", async () => {
    const person = await someone("<b onclick='x()'>Eve</b>");
    await person.verify();
    await codeFor(person.address);
    const [mail] = mailsTo(person.address);
    expect(mail!.text).toContain("<b onclick='x()'>Eve</b>");
    expect(mail!.html).toContain("&lt;b onclick=&#39;x()&#39;&gt;Eve&lt;/b&gt;");
    expect(mail!.html).not.toContain("<b ");
    expect(mail!.html).toContain(codeIn(mail!.text));
  });

  test("is sent again until the provider is back, and leaves no code and no address behind", async () => {
    sink.answer(() => new Response(null, { status: 503 }));
    const person = await someone();
    await person.verify();
    for (let i = 0; i < attemptsMax + 3; i++) {
      await relay();
      mall.clock.advance(5);
    }
    expect(mailsTo(person.address)).toEqual([]);
    const waiting = await rows(
      "select * from auth.outbox where subject = $1 and due_at is not null",
      person.id,
    );
    expect(waiting).toMatchObject([
      { consumer: "auth", data: { userId: person.id, generation: 1 }, dead_at: null },
    ]);
    expect(waiting[0].last_error).toContain("MAILER_UNAVAILABLE");
    sink.answer();
    const code = await codeFor(person.address);
    const left =
      JSON.stringify(await rows("select * from auth.outbox")) +
      JSON.stringify(await rows("select * from auth.codes"));
    expect(left).not.toContain(person.address);
    expect(left).not.toContain(code.split(".")[2]!);
    expect(await reasonOf(email().verifyEmail({ code }))).toBe("");
  });

  test("that the provider refuses becomes a dead letter after its attempts, and can be redriven", async () => {
    sink.answer(() => Response.json({ message: "no such domain" }, { status: 422 }));
    const person = await someone();
    await person.verify();
    for (let i = 0; i < attemptsMax + 3; i++) {
      await relay();
      mall.clock.advance(600);
    }
    const attempts = sink.attempts.filter((id) => id.includes(person.id));
    expect(attempts).toHaveLength(attemptsMax);
    expect(new Set(attempts).size).toBe(1);
    const letters = await rows("select consumer, event, error from auth.dead_letters");
    expect(letters).toMatchObject([{ consumer: "auth", event: { data: { userId: person.id } } }]);
    expect(letters[0].error).toContain("MAIL_REFUSED");
    expect(JSON.stringify(letters)).not.toContain(person.address);
    sink.answer();
    await mall.app.handle(letters[0].event);
    expect(mailsTo(person.address)).toHaveLength(1);
    await mall.app.handle(letters[0].event);
    expect(sink.attempts.filter((id) => id.includes(person.id))).toHaveLength(attemptsMax + 1);
  });

  test("whose code is no longer good is not sent, however late the provider comes back", async () => {
    sink.answer(() => new Response(null, { status: 503 }));
    const person = await someone();
    await person.verify();
    await relay();
    mall.clock.advance(24 * 3600);
    sink.answer();
    await relay();
    expect(mailsTo(person.address)).toEqual([]);
    expect(
      await rows("select 1 from auth.outbox where subject = $1 and due_at is not null", person.id),
    ).toEqual([]);
  });

  test("is not sent to somebody who is gone", async () => {
    sink.answer(() => new Response(null, { status: 503 }));
    const person = await someone();
    await person.change(`new-${person.address}`);
    await relay();
    const data = { userId: person.id };
    await mall.app.handle({ id: crypto.randomUUID(), type: "mall.user.v1.UserDeleted", data });
    sink.answer();
    mall.clock.advance(10);
    await relay();
    expect([...mailsTo(person.address), ...mailsTo(`new-${person.address}`)]).toEqual([]);
    expect(JSON.stringify(await rows("select * from auth.codes"))).not.toContain(person.address);
  });
});
