import { afterAll, describe, expect, test } from "bun:test";
import { mailSink } from "../testing/mail-sink";
import { refusal } from "../testing/refusal";
import { consoleMailer } from "./console";
import { mailerContract, someMail } from "./contract";
import { httpMailer } from "./http";
import { type MailerEnv, mailerOf } from "./settings";

const printed: string[] = [];
mailerContract(
  "the console",
  consoleMailer((line) => void printed.push(line)),
  () => printed,
);

const sink = mailSink();
afterAll(() => sink.stop());
const settings = { url: sink.env.MAILER_URL, token: "secret-token", from: "Mall <mall@example.com>" };
const mailer = httpMailer(settings);
mailerContract("HTTP", mailer, () =>
  sink.mails.map(({ to, subject, text }) => [...to, subject, text].join("\n")),
);

/** What is said about an attempt at a mail while the provider answers so. */
async function refusedWith(how: () => Response | Promise<Response>, by = mailer) {
  const mail = someMail();
  sink.answer(how);
  const sent = by.send(mail);
  const said = await sent.then(
    () => "",
    (error: unknown) => Bun.inspect(error),
  );
  sink.answer();
  for (const secret of [mail.to, mail.subject, `code-${mail.id}`, settings.token])
    expect(said).not.toContain(secret);
  return refusal(sent);
}

const away = { code: "Unavailable", reason: "MAILER_UNAVAILABLE" };
const refused = { code: "FailedPrecondition", reason: "MAIL_REFUSED" };

describe("a mail over HTTP", () => {
  test("has sender, token, both forms and the id by which it is sent once", async () => {
    const mail = someMail();
    await mailer.send(mail);
    await mailer.send(mail);
    const [taken, ...more] = sink.mails.filter(({ id }) => id === mail.id);
    const { from, token } = settings;
    expect(taken).toEqual({ ...mail, to: [mail.to], from, token });
    expect(more).toEqual([]);
    expect(sink.attempts.filter((id) => id === mail.id)).toHaveLength(2);
  });

  test("may be tried again when the provider is away, busy or broken", async () => {
    for (const status of [408, 409, 425, 429, 500, 502, 503, 504])
      expect([status, await refusedWith(() => new Response(null, { status }))]).toEqual([status, away]);
  });

  test("is refused when the provider will not have it, whose answer is not repeated", async () => {
    for (const status of [400, 401, 403, 404, 422]) {
      const answer = () => Response.json({ message: "mail-1@example.com is no address" }, { status });
      expect([status, await refusedWith(answer)]).toEqual([status, refused]);
    }
  });

  test("never takes its token to another address", async () => {
    const elsewhere = mailSink();
    const there = () => Response.redirect(elsewhere.env.MAILER_URL, 307);
    expect(await refusedWith(there)).toEqual(refused);
    expect(elsewhere.attempts).toEqual([]);
    await elsewhere.stop();
  });

  test("waits for a provider no longer than its time limit", async () => {
    let release = () => {};
    const silent = () => new Promise<Response>((resolve) => (release = () => resolve(new Response())));
    const startedMs = performance.now();
    expect(await refusedWith(silent, httpMailer(settings, 50))).toEqual(away);
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    release();
  });

  test("may be tried again when nobody listens", async () => {
    const gone = mailSink();
    await gone.stop();
    expect(await refusal(httpMailer({ ...settings, url: gone.env.MAILER_URL }).send(someMail()))).toEqual(
      away,
    );
  });
});

describe("the mailer of an environment", () => {
  const base: MailerEnv = {
    MALL_ENV: "dev",
    MAILER: "console",
    MAILER_URL: settings.url,
    MAILER_TOKEN: "",
    MAIL_FROM: "",
  };
  const started = (env: Partial<MailerEnv>) => () => mailerOf({ ...base, ...env }, () => {});

  test("prints in development, and never in production, where codes would stand in the log", async () => {
    const lines: string[] = [];
    await mailerOf(base, (line) => void lines.push(line)).send(someMail({ to: "dev@example.com" }));
    expect(lines.join()).toContain("dev@example.com");
    expect(started({ MALL_ENV: "production" })).toThrow("MAILER: console prints secret codes");
  });

  test("needs token and sender for HTTP, and says which is missing", () => {
    expect(started({ MAILER: "http" })).toThrow("MAILER_TOKEN: must be set");
    expect(started({ MAILER: "http", MAILER_TOKEN: "t" })).toThrow("MAIL_FROM: must be set");
    const whole = { MAILER: "http", MAILER_TOKEN: "t", MAIL_FROM: "a@example.com" } as const;
    expect(started({ ...whole, MALL_ENV: "production" })).not.toThrow();
  });

  test("may be none, and then every mail waits", async () => {
    expect(
      await refusal(mailerOf({ ...base, MALL_ENV: "production", MAILER: "none" }).send(someMail())),
    ).toEqual(away);
  });
});
