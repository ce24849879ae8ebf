/** What a mail says. */
export interface Letter {
  subject: string;
  /** The first one greets. */
  paragraphs: readonly string[];
  /** What the reader copies, after the first paragraph. */
  code?: string;
}

/** One line of plain text, so that nothing in it can become a header or a line of its own. */
const oneLine = (text: string): string => text.replaceAll(/[\s\p{Cc}]+/gu, " ").trim();

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (char) => entities[char]!);

const style = "font-family: sans-serif; font-size: 16px; line-height: 1.5; max-width: 36em";
const codeStyle = "font-family: monospace; font-size: 18px; overflow-wrap: anywhere";

/** A letter as text and as HTML that says the same; whatever stands in it is text and never markup. */
export function writeLetter({
  subject,
  paragraphs,
  code,
}: Letter): Record<"subject" | "text" | "html", string> {
  const lines = paragraphs.map(oneLine);
  const [first = "", ...rest] = lines;
  const shown = code === undefined ? [] : [oneLine(code)];
  const html = [
    `<p>${escaped(first)}</p>`,
    ...shown.map((text) => `<p style="${codeStyle}">${escaped(text)}</p>`),
    ...rest.map((text) => `<p>${escaped(text)}</p>`),
  ].join("\n");
  const title = oneLine(subject);
  return {
    subject: title,
    text: `${[first, ...shown, ...rest].join("\n\n")}\n`,
    html: `<!doctype html>\n<html lang="en">\n<title>${escaped(title)}</title>\n<body style="${style}">\n${html}\n</body>\n</html>\n`,
  };
}
