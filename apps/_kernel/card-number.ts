/**
 * Card numbers (PAN) in text. ISO/IEC 7812-1 gives a number its shape: an issuer identification number (IIN) in front,
 * at most 19 digits, a check digit by the Luhn formula at the end. Which IINs and lengths a brand issues is its own
 * publication. A text holds a card number when digits of it
 * - begin like a brand of the table and are as many as that brand issues, 13 to 19,
 * - pass the Luhn check,
 * - stand in one piece or in groups as they are embossed: the first of at least 4 digits, the others of at least 3 but
 *   for the last one, 1 to 3 spaces or dashes between them,
 * - and are nothing else: no digits of a UUID, of an id that mixes letters and digits, of a decimal fraction, of a
 *   phone number with its + (E.164), of a barcode (13 or 14 digits whose GS1 check digit is right: GTIN-13, GTIN-14).
 */

/** Brands by the first digits (from, to) and lengths that they issue. */
const brands: readonly { prefixes: readonly (readonly [number, number])[]; lengths: readonly number[] }[] = [
  // Visa, with Visa Electron
  { prefixes: [[4, 4]], lengths: [13, 16, 19] },
  // Mastercard
  {
    prefixes: [
      [51, 55],
      [2221, 2720],
    ],
    lengths: [16],
  },
  // American Express
  {
    prefixes: [
      [34, 34],
      [37, 37],
    ],
    lengths: [15],
  },
  // Diners Club International
  {
    prefixes: [
      [300, 305],
      [3095, 3095],
      [36, 36],
      [38, 39],
    ],
    lengths: [14, 15, 16, 17, 18, 19],
  },
  // Discover
  {
    prefixes: [
      [6011, 6011],
      [644, 649],
      [65, 65],
    ],
    lengths: [16, 17, 18, 19],
  },
  // JCB
  { prefixes: [[3528, 3589]], lengths: [16, 17, 18, 19] },
  // UnionPay
  {
    prefixes: [
      [62, 62],
      [810, 817],
    ],
    lengths: [16, 17, 18, 19],
  },
  // Maestro
  {
    prefixes: [
      [5018, 5018],
      [5020, 5020],
      [5038, 5038],
      [5893, 5893],
      [6304, 6304],
      [6759, 6759],
      [6761, 6763],
    ],
    lengths: [13, 14, 15, 16, 17, 18, 19],
  },
  // Mir
  { prefixes: [[2200, 2204]], lengths: [16, 17, 18, 19] },
  // RuPay, beside the ranges it shares with Discover, JCB and UnionPay
  {
    prefixes: [
      [508, 508],
      [60, 60],
      [82, 82],
    ],
    lengths: [16],
  },
  // Elo, Verve, Dankort, Hipercard, Troy, Uzcard, Humo
  {
    prefixes: [
      [504175, 504175],
      [5066, 5067],
      [509, 509],
      [636297, 636297],
      [636368, 636368],
      [5060, 5061],
      [507865, 507964],
      [5019, 5019],
      [606282, 606282],
      [9792, 9792],
      [8600, 8600],
      [9860, 9860],
    ],
    lengths: [16, 18, 19],
  },
];

/** Whether a brand issues numbers that begin like this, with as many digits. */
const isIssued = (digits: string): boolean =>
  brands.some(
    ({ prefixes, lengths }) =>
      lengths.includes(digits.length) &&
      prefixes.some(([from, to]) => {
        const prefix = Number(digits.slice(0, String(from).length));
        return prefix >= from && prefix <= to;
      }),
  );

/** Sum of the digits, every second one from the right through `weigh`. */
function checkSum(digits: string, weigh: (digit: number) => number): number {
  let total = 0;
  for (let at = digits.length - 1, second = false; at >= 0; at--, second = !second) {
    const digit = digits.charCodeAt(at) - 48;
    total += second ? weigh(digit) : digit;
  }
  return total;
}

/** Whether the last digit follows from the others by the Luhn formula (ISO/IEC 7812-1, annex B). */
export const passesLuhn = (digits: string): boolean =>
  checkSum(digits, (digit) => (digit > 4 ? digit * 2 - 9 : digit * 2)) % 10 === 0;

const isBarcode = (digits: string): boolean =>
  digits.length <= 14 && checkSum(digits, (digit) => digit * 3) % 10 === 0;

const isCard = (digits: string): boolean => isIssued(digits) && passesLuhn(digits) && !isBarcode(digits);

/** What separates the groups: spaces and dashes as they are typed and typeset. */
const separators = "[ \\t\\u00a0\\u2007\\u2009\\u202f\\u2010-\\u2015\\u2212-]{1,3}";
/** 13 digits with room for separators: what nearly no text has, so that only these are looked at closely. */
const suspicion = new RegExp(`[0-9](?:(?:${separators})?[0-9]){12}`);
const runs = new RegExp(`[0-9]+(?:${separators}[0-9]+)*`, "g");
const uuids = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi;

interface Group {
  digits: string;
  start: number;
  end: number;
}

/** Groups of digits in one run of groups and separators. */
const groupsOf = (run: string, offset: number): Group[] =>
  [...run.matchAll(/[0-9]+/g)].map(({ 0: digits, index }) => ({
    digits,
    start: offset + index,
    end: offset + index + digits.length,
  }));

/** Letters and digits looked at on each side of a number, to tell whether it is part of an id. */
const idCharacters = 64;

/** Whether the letters and digits that touch a place are those of an id: letters and further digits. */
function isInsideId(text: string, { start, end }: Group): boolean {
  const before = /[0-9A-Za-z]*$/.exec(text.slice(Math.max(0, start - idCharacters), start))![0];
  const after = /^[0-9A-Za-z]*/.exec(text.slice(end, end + idCharacters))![0];
  return /[A-Za-z]/.test(before + after) && /[0-9]/.test(before + after);
}

/** Whether a run of digits is a phone number in the international form, or the digits after a decimal point. */
function isOther(text: string, groups: readonly Group[]): boolean {
  const { start } = groups[0]!;
  const count = groups.reduce((sum, { digits }) => sum + digits.length, 0);
  return (
    (text[start - 1] === "+" && count <= 15) || /[0-9]\.$/.test(text.slice(Math.max(0, start - 2), start))
  );
}

/** The longest card number that begins with a group, undefined when none does. */
function cardFrom(groups: readonly Group[], first: number): Group | undefined {
  let found: Group | undefined;
  let digits = "";
  for (let at = first; at < groups.length && digits.length < 19; at++) {
    const shortest = at - 1 === first ? 4 : 3;
    if (at > first && groups[at - 1]!.digits.length < shortest) break;
    digits += groups[at]!.digits;
    if (digits.length >= 13 && digits.length <= 19 && isCard(digits)) {
      found = { digits, start: groups[first]!.start, end: groups[at]!.end };
    }
  }
  return found;
}

/** Places of all card numbers in a text. */
function cardsIn(text: string): Group[] {
  const found: Group[] = [];
  const masked = text.replace(uuids, (uuid) => "x".repeat(uuid.length));
  for (const { 0: run, index } of masked.matchAll(runs)) {
    const groups = groupsOf(run, index);
    if (isOther(masked, groups)) continue;
    for (let first = 0; first < groups.length; first++) {
      const card = cardFrom(groups, first);
      if (!card || isInsideId(masked, card)) continue;
      found.push(card);
      while (first + 1 < groups.length && groups[first + 1]!.start < card.end) first++;
    }
  }
  return found;
}

/** Whether a text has 13 digits in a row or in groups, which a card number needs and nearly no text has. */
export const hasManyDigits = (text: string): boolean => text.length >= 13 && suspicion.test(text);

/** Whether a text holds a card number. */
export const holdsCardNumber = (text: string): boolean => hasManyDigits(text) && cardsIn(text).length > 0;

/** The text with each card number in it replaced. */
export function maskCardNumbers(text: string): string {
  if (!hasManyDigits(text)) return text;
  const found = cardsIn(text);
  const between = found.map(({ start }, index) => text.slice(found[index - 1]?.end ?? 0, start));
  return [...between, text.slice(found.at(-1)?.end ?? 0)].join("[card number]");
}
