// Names of the characters 160 to 255, in order (HTML 4 Latin-1).
const latin1Names =
  "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro " +
  "para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil " +
  "Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave " +
  "Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml " +
  "igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute " +
  "thorn yuml";

const entities = new Map<string, string>([
  ...latin1Names.split(" ").map((name, index): [string, string] => [name, String.fromCharCode(160 + index)]),
  ...Object.entries({
    amp: "&",
    lt: "<",
    gt: ">",
    quot: '"',
    apos: "'",
    OElig: "Œ",
    oelig: "œ",
    Scaron: "Š",
    scaron: "š",
    Yuml: "Ÿ",
    ensp: " ",
    emsp: " ",
    thinsp: " ",
    zwnj: "",
    zwj: "",
    ndash: "–",
    mdash: "—",
    lsquo: "‘",
    rsquo: "’",
    sbquo: "‚",
    ldquo: "“",
    rdquo: "”",
    bdquo: "„",
    bull: "•",
    hellip: "…",
    prime: "′",
    Prime: "″",
    euro: "€",
    trade: "™",
    rarr: "→",
    larr: "←",
    minus: "−",
    ne: "≠",
    le: "≤",
    ge: "≥",
  }),
]);

const blockTags = new Set(
  "address article aside blockquote br dd div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr li main ol p pre section table td th tr ul".split(
    " ",
  ),
);

/** Index after the `>` that ends a tag; a quote only counts where an attribute value begins, as browsers do it. */
function tagEnd(html: string, start: number): number {
  let previous = "";
  for (let at = start; at < html.length; at++) {
    const char = html[at]!;
    if (char === ">") return at + 1;
    if ((char === '"' || char === "'") && previous === "=") {
      const close = html.indexOf(char, at + 1);
      if (close === -1) return html.length;
      at = close;
    }
    if (char.trim() !== "") previous = char;
  }
  return html.length;
}

/** Index after the element whose content is no text, such as a script. */
function rawElementEnd(html: string, name: string, start: number): number {
  const close = new RegExp(`</${name}[^<>]*>?`, "gi");
  close.lastIndex = start;
  return close.exec(html) ? close.lastIndex : html.length;
}

function withoutTags(html: string): string {
  const parts: string[] = [];
  let at = 0;
  while (at < html.length) {
    const open = html.indexOf("<", at);
    if (open === -1) break;
    parts.push(html.slice(at, open));
    if (html.startsWith("<!--", open)) {
      const close = html.indexOf("-->", open + 4);
      at = close === -1 ? html.length : close + 3;
      continue;
    }
    const name = /^<[/!?]?([a-z][a-z0-9]*)/i.exec(html.slice(open, open + 32))?.[1]?.toLowerCase();
    if (name === undefined) {
      parts.push("<");
      at = open + 1;
      continue;
    }
    at = tagEnd(html, open + 1);
    if (name === "script" || name === "style") at = rawElementEnd(html, name, at);
    else if (blockTags.has(name)) parts.push("\n");
  }
  parts.push(html.slice(at));
  return parts.join("");
}

function characterOf(codePoint: number): string {
  const forbidden = codePoint === 0 || codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff);
  return forbidden ? "\ufffd" : String.fromCodePoint(codePoint);
}

const decoded = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z][a-z0-9]{1,7}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities.get(name) ?? whole;
    return characterOf(decimal === undefined ? Number.parseInt(hex, 16) : Number.parseInt(decimal, 10));
  });

/**
 * The plain text of an HTML fragment: tags, comments, scripts and styles go, blocks become lines, entities become
 * characters (unknown ones stay as written), blanks collapse. The result is text, not safe HTML: whoever shows it
 * in a page must escape it. Linear in the length of the input.
 */
export function htmlToText(html: string): string {
  return decoded(withoutTags(html.replace(/\r\n?/g, "\n")))
    .replace(/[^\S\n]+/g, " ")
    .replace(/ ?\n ?/g, "\n")
    .replace(/\n{3,}/g, "\n\n")
    .replace(/[^\P{Cc}\n]|\u00ad/gu, "")
    .trim();
}
