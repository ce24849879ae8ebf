import { describe, expect, test } from "bun:test";
import { writeLetter } from "./letter";
import type { Mail, Mailer } from "./port";

let mails = 0;

/** A mail of its own to a person of its own. */
export function someMail(over: Partial<Mail> = {}): Mail {
  const id = `mail-${++mails}`;
  const letter = writeLetter({
    subject: `Grüße <${id}>`,
    paragraphs: [`Hello “${id}” & all,`, "Good-bye."],
    code: `code-${id}`,
  });
  return { id, to: `${id}@example.com`, ...letter, ...over };
}

/** What every mailer must do. `arrived` tells what whoever reads the mails has seen, a text a mail. */
export function mailerContract(name: string, mailer: Mailer, arrived: () => readonly string[]): void {
  const textsOf = (mail: Mail) => arrived().filter((text) => text.includes(mail.to));

  describe(`mails by ${name}`, () => {
    test("arrive with addressee, subject and text as they are", async () => {
      const mail = someMail();
      await mailer.send(mail);
      const [text] = textsOf(mail);
      expect(text).toContain(mail.subject);
      for (const line of mail.text.split("\n")) expect(text).toContain(line);
    });

    test("arrive each, however many are sent at once", async () => {
      const many = Array.from({ length: 20 }, () => someMail());
      await Promise.all(many.map((mail) => mailer.send(mail)));
      expect(many.map((mail) => textsOf(mail).length)).toEqual(many.map(() => 1));
    });

    test("may be long and have any character", async () => {
      const text = `${"ä🦄\u2028\\\"'<b>&\t%s\r".repeat(2_000)}end`;
      const mail = someMail({ text });
      await mailer.send(mail);
      expect(textsOf(mail)[0]?.includes(text)).toBe(true);
    });
  });
}
