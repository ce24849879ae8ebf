import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { holdsCardNumber, maskCardNumbers } from "./card-number";
import { idGenerator } from "./id";

/** Numbers that the brands and payment providers publish for tests. */
const published = {
  visa: "4111111111111111",
  "visa of 13 digits": "4222222222222",
  "visa of 19 digits": "4000000000000000006",
  mastercard: "5555555555554444",
  "mastercard of the 2 series": "2223003122003222",
  "american express": "378282246310005",
  "diners club": "30569309025904",
  "diners club of 16 digits": "3056930009020004",
  discover: "6011111111111117",
  jcb: "3566002020360505",
  unionpay: "6200000000000005",
  "unionpay of 19 digits": "6205500000000000004",
  maestro: "6759649826438453",
  mir: "2200000000000004",
  rupay: "6073849700004947",
};

/** Brands said again, apart from the code: how a number begins and how long it is. */
const brands: [prefix: string, length: number][] = [
  ...[13, 16, 19].map((length): [string, number] => ["4", length]),
  ...["51", "55", "2221", "2720"].map((prefix): [string, number] => [prefix, 16]),
  ...["34", "37"].map((prefix): [string, number] => [prefix, 15]),
  ...["300", "305", "36", "38", "39"].map((prefix): [string, number] => [prefix, 14]),
  ...["6011", "644", "65", "3528", "3589", "62", "2204"].map((prefix): [string, number] => [prefix, 16]),
  ["6304", 17],
  ["62", 19],
];

const luhnSum = (digits: string): number =>
  [...digits]
    .reverse()
    .map(Number)
    .reduce(
      (sum, digit, at) => sum + (at % 2 === 0 ? digit : Math.floor((2 * digit) / 10) + ((2 * digit) % 10)),
      0,
    );
const withLuhn = (digits: string): string => digits + ((10 - (luhnSum(`${digits}0`) % 10)) % 10);
const withGs1 = (digits: string): string => {
  const sum = [...digits]
    .reverse()
    .reduce((total, digit, at) => total + Number(digit) * (at % 2 === 0 ? 3 : 1), 0);
  return digits + ((10 - (sum % 10)) % 10);
};
const isGs1 = (digits: string): boolean => withGs1(digits.slice(0, -1)) === digits;

const digitsOf = (length: number) =>
  fc
    .array(fc.integer({ min: 0, max: 9 }), { minLength: length, maxLength: length })
    .map((list) => list.join(""));
const cards = fc
  .constantFrom(...brands)
  .chain(([prefix, length]) => digitsOf(length - 1 - prefix.length).map((rest) => withLuhn(prefix + rest)))
  .filter((card) => card.length > 14 || !isGs1(card));
const runs = { numRuns: 20_000 };
const always = <T>(values: fc.Arbitrary<T>, holds: (value: T) => boolean) =>
  fc.assert(fc.property(values, holds), runs);

describe("a card number is found", () => {
  test.each(Object.entries(published))("of %s", (_, number) => {
    expect(holdsCardNumber(number)).toBe(true);
    expect(maskCardNumbers(`pay with ${number}, please`)).toBe("pay with [card number], please");
  });

  test("of every brand", () => always(cards, holdsCardNumber));

  test("inside other words", () => {
    const edges = fc.constantFrom(
      "",
      " ",
      "card ",
      "PAN:",
      "tok_",
      "visa",
      "#",
      "=",
      "\n",
      "(",
      "12/28 ",
      "é",
      "no.",
    );
    const wrapped = fc.tuple(
      edges,
      cards,
      edges.filter((edge) => edge !== "12/28 "),
    );
    always(wrapped, ([before, card, after]) => holdsCardNumber(before + card + after));
  });

  test("in groups as on the card, with any spaces and dashes", () => {
    const groupings: Record<number, number[][]> = {
      13: [
        [4, 4, 5],
        [4, 4, 4, 1],
        [4, 3, 3, 3],
      ],
      14: [[4, 6, 4]],
      15: [[4, 6, 5]],
      16: [
        [4, 4, 4, 4],
        [6, 10],
        [8, 8],
      ],
      17: [[4, 4, 4, 5]],
      19: [
        [4, 4, 4, 4, 3],
        [6, 13],
        [4, 5, 5, 5],
      ],
    };
    const grouped = fc
      .tuple(cards, fc.nat(5), fc.constantFrom(" ", "-", " - ", "\u00a0", "\u2011", "\u2013", "  "))
      .map(([card, choice, separator]) => {
        const forms = groupings[card.length]!;
        const sizes = forms[choice % forms.length]!;
        const ends = sizes.map((_, index) => sizes.slice(0, index + 1).reduce((a, b) => a + b, 0));
        return ends.map((end, index) => card.slice(ends[index - 1] ?? 0, end)).join(separator);
      });
    always(grouped, (text) => holdsCardNumber(text) && !/[0-9]/.test(maskCardNumbers(text)));
  });

  test("with its expiry and code behind it", () => {
    for (const text of ["4111 1111 1111 1111 12 28 123", "4111111111111111 1228", "4111-1111-1111-1111-123"])
      expect(maskCardNumbers(text)).toStartWith("[card number]");
  });

  test("each time it occurs", () => {
    const masked = maskCardNumbers("4111 1111 1111 1111 / 5555555555554444; 378282246310005");
    expect(masked).toBe("[card number] / [card number]; [card number]");
  });
});

describe("no card number is", () => {
  const never = <T extends string>(values: fc.Arbitrary<T>) =>
    always(values, (text) => !holdsCardNumber(text) && maskCardNumbers(text) === text);

  test("a number with a digit mistyped", () => {
    const mistyped = fc
      .tuple(
        cards.filter((card) => card.length > 14),
        fc.nat(18),
        fc.integer({ min: 1, max: 9 }),
      )
      .map(([card, place, by]) => {
        const at = place % card.length;
        return card.slice(0, at) + ((Number(card[at]) + by) % 10) + card.slice(at + 1);
      });
    never(mistyped);
  });

  test("a number of no brand, or of a length the brand does not issue", () => {
    for (const start of ["1", "7", "0", "56", "31", "2199", "2721", "68"]) {
      expect(holdsCardNumber(withLuhn(start.padEnd(15, "1")))).toBe(false);
    }
    for (const length of [12, 14, 15, 17, 18, 20]) {
      expect(holdsCardNumber(withLuhn("4".padEnd(length - 1, "1")))).toBe(false);
    }
  });

  test("a UUID, even one of digits", () => {
    never(fc.uuid());
    const hex = (length: number) => digitsOf(length);
    const digits = fc.tuple(hex(8), hex(4), hex(4), hex(4), hex(12)).map((groups) => groups.join("-"));
    never(digits);
  });

  test("an id of ours, a hash or a token", () => {
    const newId = idGenerator(() => new Date());
    for (let round = 0; round < 20_000; round++) expect(holdsCardNumber(newId("ord"))).toBe(false);
    const hex = fc.array(fc.constantFrom(..."00112233445566778899abcdef"), { minLength: 32, maxLength: 64 });
    never(hex.map((list) => `${list.join("")}1f`));
  });

  test("an EAN-13 or a GTIN-14", () => {
    never(
      fc
        .oneof(
          digitsOf(12),
          digitsOf(11).map((rest) => `4${rest}`),
        )
        .map(withGs1),
    );
    never(
      fc.tuple(fc.constantFrom("30", "36", "38"), digitsOf(11)).map(([start, rest]) => withGs1(start + rest)),
    );
  });

  test("a phone number, a time, a price or a place", () => {
    const lengths = fc.integer({ min: 7, max: 15 }).chain(digitsOf);
    never(lengths.map((digits) => `+${digits}`));
    never(fc.tuple(digitsOf(2), digitsOf(4), digitsOf(7)).map(([c, a, n]) => `+${c} ${a} ${n}`));
    never(
      fc
        .date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })
        .map((date) => date.toISOString()),
    );
    never(
      fc
        .double({ min: -180, max: 180, noNaN: true })
        .filter((n) => Math.abs(n) > 1e-6)
        .map(String),
    );
    for (const text of [
      ...["1700000000000", "1700000000000000", "1700000000000000000", "(512) 555-0134 / (512) 555-0199"],
      ...["Sizes 36 38 40 42 44 46 48 50", "30 32 34 36 38 40 42 44", "2023 2024 2025 2026", "4-6 weeks"],
    ])
      expect(holdsCardNumber(text)).toBe(false);
  });
});

test("looking for card numbers is linear in the text", () => {
  const worst = [
    "4111111111111111 ",
    "4111 ",
    "1 ",
    "4111111111111112 ",
    "a4111111111111111",
    "4",
    "411111111111    ",
  ];
  for (const piece of worst) {
    const time = (length: number) => {
      const text = piece.repeat(Math.ceil(length / piece.length));
      let bestMs = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 5; round++) {
        const start = performance.now();
        maskCardNumbers(text);
        bestMs = Math.min(bestMs, performance.now() - start);
      }
      return bestMs;
    };
    expect(time(400_000)).toBeLessThan(400 * Math.max(time(10_000), 0.2));
  }
});
