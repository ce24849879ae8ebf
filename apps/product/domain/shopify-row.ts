/** Limits of what one file may bring; text lengths in UTF-16 units. */
export const importLimits = {
  csvLengthMax: 8_388_608,
  rowsMax: 100_000,
  productsMax: 10_000,
  problemsMax: 5_000,
  /** Handle, title, vendor, type, SKU, barcode, tag, option name, option value. */
  textLengthMax: 255,
  descriptionLengthMax: 65_000,
  altLengthMax: 512,
  urlLengthMax: 2_048,
  variantsMax: 100,
  tagsMax: 250,
  mediaMax: 250,
  onHandMax: 1_000_000,
  gramsMax: 10_000_000,
  /** So that 200 lines of 999 units still fit in an int64. */
  priceMinorMax: 10n ** 12n,
} as const;

/** Why a row was skipped: the first thing wrong with it. Lines count from 1. */
export interface RowProblem {
  line: number;
  handle?: string;
  /** Stable upper snake case: the column and what is wrong with it, such as PRICE_INVALID. */
  reason: string;
  /** A sentence that names column and value. */
  detail: string;
}

// Columns we read, with the stem of their reasons. Names are matched in any case; other columns are ignored.
const columnStems = {
  Handle: "HANDLE",
  Title: "TITLE",
  "Body (HTML)": "DESCRIPTION",
  Vendor: "VENDOR",
  Type: "TYPE",
  Tags: "TAGS",
  Published: "PUBLISHED",
  Status: "STATUS",
  "Option1 Name": "OPTION_NAME",
  "Option1 Value": "OPTION_VALUE",
  "Option2 Name": "OPTION_NAME",
  "Option2 Value": "OPTION_VALUE",
  "Option3 Name": "OPTION_NAME",
  "Option3 Value": "OPTION_VALUE",
  "Variant SKU": "SKU",
  "Variant Grams": "GRAMS",
  "Variant Inventory Tracker": "TRACKER",
  "Variant Inventory Qty": "QUANTITY",
  "Variant Price": "PRICE",
  "Variant Compare At Price": "COMPARE_AT_PRICE",
  "Variant Requires Shipping": "REQUIRES_SHIPPING",
  "Variant Taxable": "TAXABLE",
  "Variant Barcode": "BARCODE",
  "Image Src": "IMAGE",
  "Image Position": "IMAGE_POSITION",
  "Image Alt Text": "IMAGE_ALT",
  "Variant Image": "VARIANT_IMAGE",
} as const;

/** A column we read, by its name in the header. */
export type Column = keyof typeof columnStems;

/** All columns we read, in the order of Shopify's template. */
export const columns = Object.keys(columnStems) as Column[];

/** One data row; `problem` is the first thing found wrong, and what is read after it does not matter. */
export interface Row {
  line: number;
  /** The trimmed text of a cell; blank when the row or the file lacks it. */
  cell: (column: Column) => string;
  problem?: RowProblem;
}

/** Notes what is wrong with a row, unless something else was before. `detail` is a sentence. */
export function refuse(row: Row, reason: string, detail: string): void {
  const handle = row.cell("Handle").slice(0, importLimits.textLengthMax).toWellFormed();
  row.problem ??= { line: row.line, ...(handle && { handle }), reason, detail };
}

/** The same for one cell; the reason is the column's stem and the fault, such as PRICE_INVALID. */
export const refuseCell = (row: Row, column: Column, fault: string, detail: string): void =>
  refuse(row, `${columnStems[column]}_${fault}`, detail);

/** A text quoted for a sentence, cut after 60 characters. */
export const shown = (text: string): string =>
  JSON.stringify(text.length > 60 ? `${text.slice(0, 60).toWellFormed()}…` : text);

/** A column and the value of its cell, for a sentence. */
export const named = (row: Row, column: Column): string => `${column} ${shown(row.cell(column))}`;

/** Text on one line: blanks, line ends and control characters collapse to single spaces. */
export const oneLine = (text: string): string => text.replace(/[\s\p{Cc}]+/gu, " ").trim();

/** Text on one line, at most `lengthMax` UTF-16 units; "" when blank. */
export function readText(row: Row, column: Column, lengthMax: number = importLimits.textLengthMax): string {
  const text = oneLine(row.cell(column));
  if (text.length > lengthMax) {
    refuseCell(row, column, "TOO_LONG", `${named(row, column)} is longer than ${lengthMax} characters.`);
  }
  return text;
}

/** TRUE or FALSE in any case; blank means true. */
export function readFlag(row: Row, column: Column): boolean {
  const text = row.cell(column).toLowerCase();
  if (text !== "" && text !== "true" && text !== "false") {
    refuseCell(row, column, "INVALID", `${named(row, column)} is neither TRUE nor FALSE.`);
  }
  return text !== "false";
}

/** A whole number from 0 to `max`; blank means 0. */
export function readCount(row: Row, column: Column, max: number): number {
  const text = row.cell(column);
  const refuseIt = (fault: string, what: string) =>
    refuseCell(row, column, fault, `${named(row, column)} ${what}.`);
  if (/^-[\d.]+$/.test(text)) refuseIt("NEGATIVE", "is negative");
  else if (!/^\d*$/.test(text)) refuseIt("INVALID", "is not a whole number");
  else if (Number(text) > max) refuseIt("TOO_LARGE", `is more than ${max}`);
  return Number(text);
}

/** Grams; exports have fractions of them (converted from pounds), which are rounded. Blank means 0. */
export function readGrams(row: Row): number {
  const column = "Variant Grams";
  const text = row.cell(column);
  const refuseIt = (fault: string, what: string) =>
    refuseCell(row, column, fault, `${named(row, column)} ${what}.`);
  if (!/^(\d+(\.\d+)?)?$/.test(text)) refuseIt("INVALID", "is no weight in grams");
  else if (Number(text) > importLimits.gramsMax)
    refuseIt("TOO_LARGE", `is more than ${importLimits.gramsMax}`);
  return Math.round(Number(text));
}

// ISO 4217; not asked of Intl, because its data differ between runtimes and from the standard.
const currenciesByMinorDigits: [number, string][] = [
  [0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"],
  [3, "BHD IQD JOD KWD LYD OMR TND"],
  [4, "CLF UYW"],
];

const minorDigitsOf = (currency: string): number =>
  currenciesByMinorDigits.find(([, currencies]) => currencies.split(" ").includes(currency))?.[0] ?? 2;

function refusePrice(row: Row, column: Column): void {
  const text = row.cell(column);
  if (/^-[\d.,]+$/.test(text)) refuseCell(row, column, "NEGATIVE", `${named(row, column)} is negative.`);
  const hint = text.includes(",")
    ? "without thousands separators, with a point"
    : "with digits and a point only";
  const detail = `${named(row, column)} is no price; write it ${hint}, such as 1299.00.`;
  refuseCell(row, column, "INVALID", detail);
}

/**
 * Exact minor units of a decimal price, or undefined when the cell is blank or wrong. Decimals past the currency's
 * minor unit may only be zeros. Never goes through a float.
 */
export function readPrice(row: Row, column: Column, currency: string): bigint | undefined {
  const text = row.cell(column);
  if (text === "") return undefined;
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) {
    refusePrice(row, column);
    return undefined;
  }
  const digits = minorDigitsOf(currency);
  const whole = match[1]!.replace(/^0+/, "");
  const fraction = match[2] ?? "";
  if (/[1-9]/.test(fraction.slice(digits))) {
    const detail = `${named(row, column)} has more than the ${digits} decimals of ${currency}.`;
    refuseCell(row, column, "TOO_PRECISE", detail);
    return undefined;
  }
  // The length is looked at first, because making a huge number costs more than refusing it.
  const minor =
    whole.length <= 16 ? BigInt(`0${whole}${fraction.slice(0, digits).padEnd(digits, "0")}`) : undefined;
  if (minor === undefined || minor > importLimits.priceMinorMax) {
    refuseCell(row, column, "TOO_LARGE", `${named(row, column)} is more than the mall can sell for.`);
    return undefined;
  }
  return minor;
}

/** An http address or a relative path; other schemes, such as javascript:, are refused. Undefined when blank. */
export function readUrl(row: Row, column: Column): string | undefined {
  const text = row.cell(column);
  if (text === "") return undefined;
  if (text.length > importLimits.urlLengthMax) {
    const detail = `${named(row, column)} is longer than ${importLimits.urlLengthMax} characters.`;
    refuseCell(row, column, "TOO_LONG", detail);
  } else if (/[\s\p{Cc}"<>\\]/u.test(text) || (/^[^/?#]*:/.test(text) && !/^https?:\/\/[^/]/i.test(text))) {
    refuseCell(row, column, "INVALID", `${named(row, column)} is neither an http address nor a path.`);
  }
  return text;
}
