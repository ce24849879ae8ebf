/** A mail as the provider got it. */
export interface SunkMail {
  id: string;
  token: string;
  from: string;
  to: string[];
  subject: string;
  text: string;
  html: string;
}

/** A stand-in for a mail provider: takes mails over HTTP and delivers them nowhere. */
export interface MailSink {
  /** What was taken, in order; an Idempotency-Key that was taken before adds nothing. */
  readonly mails: SunkMail[];
  /** Ids of all attempts, taken or not. */
  readonly attempts: string[];
  /** What the provider does next: takes mails again without an argument. */
  answer(how?: () => Response | Promise<Response>): void;
  /** What a service needs in its environment to send its mails here. */
  readonly env: Record<"MAILER" | "MAILER_URL" | "MAILER_TOKEN" | "MAIL_FROM", string>;
  stop(): Promise<void>;
}

/** Starts a sink on a free port of this machine. */
export function mailSink(): MailSink {
  const mails: SunkMail[] = [];
  const attempts: string[] = [];
  let answer: (() => Response | Promise<Response>) | undefined;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    async fetch(request) {
      const id = request.headers.get("idempotency-key") ?? "";
      attempts.push(id);
      const body = (await request.json()) as Omit<SunkMail, "id" | "token">;
      if (answer) return answer();
      const token = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
      if (!mails.some((mail) => mail.id === id)) mails.push({ ...body, id, token });
      return Response.json({ id: crypto.randomUUID() });
    },
  });
  return {
    mails,
    attempts,
    answer(how) {
      answer = how;
    },
    env: {
      MAILER: "http",
      MAILER_URL: `http://127.0.0.1:${server.port}/emails`,
      MAILER_TOKEN: "token-of-the-sink",
      MAIL_FROM: "EdgeMall <mall@example.com>",
    },
    stop: () => server.stop(true),
  };
}
