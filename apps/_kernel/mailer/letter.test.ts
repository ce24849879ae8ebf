import { expect, test } from "bun:test";
import { writeLetter } from "./letter";

test("a letter says the same as text and as HTML, the code on a line of its own", () => {
  const { subject, text, html } = writeLetter({
    subject: "Your code",
    paragraphs: ["Hello Ada,", "Good for an hour.", "Bye."],
    code: "abc-123",
  });
  expect(subject).toBe("Your code");
  expect(text).toBe("Hello Ada,\n\nabc-123\n\nGood for an hour.\n\nBye.\n");
  expect(
    html
      .replaceAll(/<[^>]*>/g, "")
      .trim()
      .split(/\n+/),
  ).toEqual(["Your code", "Hello Ada,", "abc-123", "Good for an hour.", "Bye."]);
});

test("what a name brings along is text: no markup, no header, no line of its own", () => {
  const name = "<img src=x onerror='a()'> & \"Eve\"\r\nBcc: all@example.com\u0000\u2028x";
  const { subject, text, html } = writeLetter({
    subject: `For ${name}`,
    paragraphs: [`Hello ${name},`],
    code: name,
  });
  const plain = "<img src=x onerror='a()'> & \"Eve\" Bcc: all@example.com x";
  expect(subject).toBe(`For ${plain}`);
  expect(text).toBe(`Hello ${plain},\n\n${plain}\n`);
  const escaped = "&lt;img src=x onerror=&#39;a()&#39;&gt; &amp; &quot;Eve&quot; Bcc: all@example.com x";
  expect(html.split(escaped)).toHaveLength(4);
  expect(html).not.toContain("<img");
});

test("a letter without a code has only its paragraphs", () => {
  const { text, html } = writeLetter({ subject: "Gone", paragraphs: ["Hello,", "your account is gone."] });
  expect(text).toBe("Hello,\n\nyour account is gone.\n");
  expect(html).not.toContain("monospace");
});
