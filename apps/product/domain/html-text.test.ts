import { expect, test } from "bun:test";
import { htmlToText } from "./html-text";

const cases: [why: string, html: string, text: string][] = [
  ["plain text stays", "A mug. It holds 5 < 6 & more.", "A mug. It holds 5 < 6 & more."],
  ["tags go", "<p>A <b>green</b> mug</p>", "A green mug"],
  [
    "blocks and breaks become lines",
    "<p>One</p><p>Two<br/>Three</p><ul><li>a</li><li>b</li></ul>",
    "One\n\nTwo\nThree\n\na\n\nb",
  ],
  ["line ends of the source collapse to one blank line at most", "a\r\n\r\n\r\n\r\nb", "a\n\nb"],
  ["named entities", "Caf&eacute; &amp; Co&hellip; &euro;5&nbsp;&frac12; &copy;", "Café & Co… €5 ½ ©"],
  ["numeric entities", "&#65;&#x42;&#X1F600;", "AB😀"],
  ["entities are decoded once", "&amp;lt;b&amp;gt;", "&lt;b&gt;"],
  ["escaped tags are text", "&lt;b&gt;bold&lt;/b&gt;", "<b>bold</b>"],
  ["unknown entities stay", "AT&T; &bogus; &", "AT&T; &bogus; &"],
  ["names of inherited properties are no entities", "&constructor; &toString;", "&constructor; &toString;"],
  ["impossible code points are replaced", "&#0;&#xD800;&#x110000;", "\ufffd\ufffd\ufffd"],
  [
    "scripts and styles go with their content",
    "a<script>if (1<2) alert('x')</script>b<STYLE>p{}</STYLE >c",
    "abc",
  ],
  ["comments go, even with tags inside", "a<!-- <p>x</p> -->b<!-- open", "ab"],
  ["a > inside a quoted attribute does not end the tag", "<a title=\"x > y\" href='b>c'>link</a>", "link"],
  ["an apostrophe outside a value opens no quote", "<p it's>one</p> it's two", "one\nit's two"],
  ["an unfinished tag at the end goes", "text <a href=", "text"],
  ["control characters and soft hyphens go", "a\u0001b\u00adc\u007f", "abc"],
  ["nothing is nothing", "", ""],
];

for (const [why, html, text] of cases) {
  test(why, () => expect(htmlToText(html)).toBe(text));
}

test("hostile input of half a megabyte takes linear time", () => {
  const hostile = ["<", "<a ", '<a="', "<!--", "<script>", "</p>", "&#1", " \n", "&a;"];
  const started = performance.now();
  for (const part of hostile) htmlToText(part.repeat(500_000 / part.length));
  expect(performance.now() - started).toBeLessThan(3_000);
});
