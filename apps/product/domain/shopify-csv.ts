import { type BrokenRecord, type CsvRecord, readRecords } from "./csv-records";
import { htmlToText } from "./html-text";
import {
  type Column,
  columns,
  importLimits,
  named,
  oneLine,
  type Row,
  type RowProblem,
  readCount,
  readFlag,
  readGrams,
  readPrice,
  readText,
  readUrl,
  refuse,
  refuseCell,
  shown,
} from "./shopify-row";

export interface ImportedVariant {
  /** As in the file; made of the handle and the option values when the file has none. */
  sku: string;
  /** Option values joined by " / ", or "Default". */
  title: string;
  options: { name: string; value: string }[];
  /** Minor units of the currency of the import. */
  price: bigint;
  /** Only when it is more than the price. */
  compareAtPrice?: bigint;
  trackInventory: boolean;
  /** 0 when stock is not tracked. */
  onHand: number;
  barcode?: string;
  grams: number;
  requiresShipping: boolean;
  taxable: boolean;
  imageUrl?: string;
  line: number;
}

export interface ImportedProduct {
  handle: string;
  title: string;
  /** Plain text. */
  description: string;
  vendor: string;
  /** Titles: the type, or without one the tags. No two have the same slug. */
  categories: string[];
  tags: string[];
  published: boolean;
  /** In order; positions count from 1 without gaps. */
  media: { url: string; alt: string; position: number }[];
  optionNames: string[];
  /** At least one. */
  variants: ImportedVariant[];
  line: number;
}

/** What a text holds: a catalogue, or no catalogue at all with a sentence that says why. */
export type ShopifyCatalogue =
  | { kind: "catalogue"; products: ImportedProduct[]; problems: RowProblem[]; rows: number }
  | { kind: "not_csv"; detail: string };

const requiredColumns: Column[] = ["Handle", "Title", "Variant Price"];
const optionColumns: { name: Column; value: Column }[] = [
  { name: "Option1 Name", value: "Option1 Value" },
  { name: "Option2 Name", value: "Option2 Value" },
  { name: "Option3 Name", value: "Option3 Value" },
];

const specialLetters: Record<string, string> = {
  ß: "ss",
  æ: "ae",
  œ: "oe",
  ø: "o",
  ł: "l",
  đ: "d",
  ð: "d",
  þ: "th",
};

/**
 * Name of a title in URLs: lower-case ASCII words joined by hyphens, at most 100 characters, never empty. Accents go;
 * letters without an ASCII form become their code point (u65e5), so that titles of other scripts stay distinct.
 */
export function slugOf(title: string): string {
  const slug = title
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[ßæœøłđðþ]/g, (letter) => specialLetters[letter]!)
    .replace(/['’]/g, "")
    .replace(/[^\p{ASCII}]/gu, (char) =>
      /[\p{L}\p{N}]/u.test(char) ? `-u${char.codePointAt(0)!.toString(16)}-` : "-",
    )
    .replace(/[^a-z0-9]+/g, "-");
  const codes = [...title.slice(0, 10)].map((char) => char.codePointAt(0)!.toString(16)).join("-");
  return cut(slug, 100) || cut(`category-${codes}`, 100);
}

/** At most `lengthMax` characters of a slug, without hyphens at its ends. */
const cut = (slug: string, lengthMax: number): string =>
  slug.replace(/^-/, "").slice(0, lengthMax).replace(/-$/, "");

function uniqueBy<T>(items: T[], key: (item: T) => string): T[] {
  const seen = new Map<string, T>();
  for (const item of items) if (!seen.has(key(item))) seen.set(key(item), item);
  return [...seen.values()];
}

function readTags(row: Row): string[] {
  const { textLengthMax, tagsMax } = importLimits;
  const cells = row.cell("Tags").split(",");
  const tags = uniqueBy(
    cells.map(oneLine).filter((tag) => tag !== ""),
    (tag) => tag.toLowerCase(),
  );
  const long = tags.find((tag) => tag.length > textLengthMax);
  if (long !== undefined) {
    refuseCell(
      row,
      "Tags",
      "TOO_LONG",
      `Tags holds ${shown(long)}, which is longer than ${textLengthMax} characters.`,
    );
  }
  if (tags.length > tagsMax)
    refuseCell(row, "Tags", "TOO_MANY", `Tags holds ${tags.length} tags; ${tagsMax} are allowed.`);
  return tags;
}

function readDescription(row: Row): string {
  const { descriptionLengthMax } = importLimits;
  const text = htmlToText(row.cell("Body (HTML)"));
  if (text.length > descriptionLengthMax) {
    const detail = `Body (HTML) has ${text.length} characters of text; ${descriptionLengthMax} are allowed.`;
    refuseCell(row, "Body (HTML)", "TOO_LONG", detail);
  }
  return text;
}

function readPublished(row: Row): boolean {
  const published = readFlag(row, "Published");
  const status = row.cell("Status").toLowerCase();
  if (!["", "active", "draft", "archived", "unlisted"].includes(status)) {
    refuseCell(
      row,
      "Status",
      "INVALID",
      `${named(row, "Status")} is none of active, draft, archived and unlisted.`,
    );
  }
  return published && (status === "" || status === "active");
}

/** Shopify's way to say that a product has no options. */
const isDefaultOption = (row: Row): boolean =>
  row.cell("Option1 Name").toLowerCase() === "title" &&
  row.cell("Option1 Value").toLowerCase() === "default title";

/** A product while its rows are read. */
interface Draft {
  product: ImportedProduct;
  optionColumns: { name: string; column: Column }[];
  combinations: Map<string, number>;
}

function readOptionNames(row: Row): Draft["optionColumns"] {
  if (isDefaultOption(row)) return [];
  const found: Draft["optionColumns"] = [];
  for (const { name: nameColumn, value: column } of optionColumns) {
    const name = readText(row, nameColumn);
    if (name === "") continue;
    if (found.some((other) => other.name.toLowerCase() === name.toLowerCase())) {
      refuseCell(
        row,
        nameColumn,
        "DUPLICATE",
        `${named(row, nameColumn)} names an option the product already has.`,
      );
    }
    found.push({ name, column });
  }
  return found;
}

/** The product of its first row, still without variants and media; null when the row is no good start. */
function readProduct(row: Row): Draft | null {
  const title = readText(row, "Title");
  if (title === "") {
    refuseCell(
      row,
      "Title",
      "MISSING",
      `Title is blank in the first row of the product ${shown(row.cell("Handle"))}.`,
    );
  }
  const type = readText(row, "Type");
  const tags = readTags(row);
  const names = readOptionNames(row);
  const product: ImportedProduct = {
    handle: row.cell("Handle"),
    title,
    description: readDescription(row),
    vendor: readText(row, "Vendor"),
    categories: uniqueBy(type ? [type] : tags, slugOf),
    tags,
    published: readPublished(row),
    media: [],
    optionNames: names.map(({ name }) => name),
    variants: [],
    line: row.line,
  };
  return row.problem ? null : { product, optionColumns: names, combinations: new Map() };
}

function readOptions(row: Row, draft: Draft): ImportedVariant["options"] {
  const isDefault =
    draft.optionColumns.length === 0 && row.cell("Option1 Value").toLowerCase() === "default title";
  for (const { name, value } of optionColumns) {
    const own = draft.optionColumns.find(({ column }) => column === value);
    const said = row.cell(name);
    if (!own && row.cell(value) !== "" && !(isDefault && value === "Option1 Value")) {
      refuseCell(row, value, "UNEXPECTED", `${named(row, value)} belongs to no option of the product.`);
    }
    if (own && row.cell(value) === "")
      refuseCell(row, value, "MISSING", `${value} (${shown(own.name)}) is blank.`);
    if (own && said !== "" && said.toLowerCase() !== own.name.toLowerCase()) {
      refuseCell(
        row,
        name,
        "MISMATCH",
        `${named(row, name)} differs from ${shown(own.name)} in the product's first row.`,
      );
    }
  }
  const options = draft.optionColumns.map(({ name, column }) => ({ name, value: readText(row, column) }));
  const earlier = draft.combinations.get(combinationOf(options));
  if (earlier !== undefined) {
    const values = options.map(({ value }) => value).join(" / ") || "Default";
    refuse(
      row,
      "OPTIONS_DUPLICATE",
      `Option values ${shown(values)} are those of the variant on line ${earlier}.`,
    );
  }
  return options;
}

const combinationOf = (options: ImportedVariant["options"]): string =>
  JSON.stringify(options.map(({ value }) => value.toLowerCase()));

function readVariant(row: Row, draft: Draft, currency: string): ImportedVariant {
  const options = readOptions(row, draft);
  const price = readPrice(row, "Variant Price", currency);
  if (price === undefined) refuseCell(row, "Variant Price", "MISSING", "Variant Price is blank.");
  const compareAtPrice = readPrice(row, "Variant Compare At Price", currency);
  const trackInventory = row.cell("Variant Inventory Tracker") !== "";
  const quantity = readCount(row, "Variant Inventory Qty", importLimits.onHandMax);
  const barcode = readText(row, "Variant Barcode");
  const imageUrl = readUrl(row, "Variant Image");
  if (draft.product.variants.length >= importLimits.variantsMax) {
    const detail = `The product ${shown(draft.product.handle)} has ${importLimits.variantsMax} variants already.`;
    refuse(row, "VARIANTS_TOO_MANY", detail);
  }
  return {
    sku: readText(row, "Variant SKU"),
    title: options.map(({ value }) => value).join(" / ") || "Default",
    options,
    price: price ?? 0n,
    ...(compareAtPrice !== undefined && price !== undefined && compareAtPrice > price && { compareAtPrice }),
    trackInventory,
    onHand: trackInventory ? quantity : 0,
    ...(barcode && { barcode }),
    grams: readGrams(row),
    requiresShipping: readFlag(row, "Variant Requires Shipping"),
    taxable: readFlag(row, "Variant Taxable"),
    ...(imageUrl && { imageUrl }),
    line: row.line,
  };
}

/** The picture of a row, or undefined when it has none. Without a position it comes after those before it. */
function readMedia(row: Row, media: ImportedProduct["media"]): ImportedProduct["media"][number] | undefined {
  const url = readUrl(row, "Image Src");
  if (url === undefined || media.some((other) => other.url === url)) return undefined;
  const position = readCount(row, "Image Position", importLimits.rowsMax);
  if (media.length >= importLimits.mediaMax) {
    refuse(row, "IMAGES_TOO_MANY", `The product has ${importLimits.mediaMax} images already.`);
  }
  return {
    url,
    alt: readText(row, "Image Alt Text", importLimits.altLengthMax),
    position: position || media.length + 1,
  };
}

/** Products by handle as they are read; null marks one that was refused. */
interface Reading {
  currency: string;
  drafts: Map<string, Draft | null>;
  skuLines: Map<string, number>;
}

const variantCells: Column[] = ["Variant Price", "Variant SKU", ...optionColumns.map(({ value }) => value)];

/** Adds the variant and the picture of a row to its product, both or none. */
function addToProduct(row: Row, draft: Draft, isFirst: boolean, { currency, skuLines }: Reading): void {
  const { product, combinations } = draft;
  const isVariant = isFirst || variantCells.some((column) => row.cell(column) !== "");
  if (!isVariant && row.cell("Image Src") === "") {
    refuse(row, "ROW_EMPTY", "The row has neither a Variant Price nor an Image Src.");
  }
  const variant = isVariant ? readVariant(row, draft, currency) : undefined;
  const picture = readMedia(row, product.media);
  const skuLine = variant && skuLines.get(variant.sku);
  if (skuLine !== undefined) {
    refuseCell(
      row,
      "Variant SKU",
      "DUPLICATE",
      `${named(row, "Variant SKU")} is used on line ${skuLine} already.`,
    );
  }
  if (row.problem) return;
  if (picture) product.media.push(picture);
  if (!variant) return;
  product.variants.push(variant);
  combinations.set(combinationOf(variant.options), row.line);
  if (variant.sku !== "") skuLines.set(variant.sku, row.line);
}

/** Refuses what makes a row unreadable as a whole, whatever it says. */
function checkRow(row: Row): void {
  const handle = row.cell("Handle");
  const garbled = columns.find((column) => row.cell(column).includes("\ufffd"));
  if (garbled) {
    const detail = `${named(row, garbled)} holds characters that are not UTF-8; save the file as UTF-8.`;
    refuse(row, "TEXT_INVALID", detail);
  }
  if (handle === "") refuseCell(row, "Handle", "MISSING", "Handle is blank.");
  else if (handle.length > importLimits.textLengthMax) readText(row, "Handle");
  else if (!/^[a-z0-9-]+$/.test(handle)) {
    const detail = `${named(row, "Handle")} may only hold lower-case letters, digits and hyphens.`;
    refuseCell(row, "Handle", "INVALID", detail);
  }
}

function readRow(row: Row, reading: Reading): void {
  checkRow(row);
  const handle = row.cell("Handle");
  const known = reading.drafts.get(handle);
  if (known === null) {
    const detail = `The first row of the product ${shown(handle)} is broken, so this one is left out.`;
    refuse(row, "PRODUCT_REFUSED", detail);
    return;
  }
  if (known) {
    const { title, line } = known.product;
    const said = oneLine(row.cell("Title"));
    if (said !== "" && said !== title) {
      const detail = `${named(row, "Title")} differs from ${shown(title)} on line ${line}.`;
      refuseCell(row, "Title", "MISMATCH", detail);
    }
    addToProduct(row, known, false, reading);
    return;
  }
  const draft = readProduct(row);
  reading.drafts.set(handle, draft);
  if (draft) addToProduct(row, draft, true, reading);
}

/** Gives every variant without a SKU one made of its handle and option values, different from all others. */
function nameVariants(products: ImportedProduct[], taken: Set<string>): void {
  for (const { handle, variants } of products) {
    for (const variant of variants) {
      if (variant.sku !== "") continue;
      const base = [handle, ...variant.options.map(({ value }) => slugOf(value))].join("-");
      let sku = cut(base, importLimits.textLengthMax);
      for (let count = 2; taken.has(sku); count++)
        sku = `${cut(base, importLimits.textLengthMax - 6)}-${count}`;
      taken.add(sku);
      variant.sku = sku;
    }
  }
}

const ordered = (media: ImportedProduct["media"]): ImportedProduct["media"] =>
  media.toSorted((a, b) => a.position - b.position).map((item, index) => ({ ...item, position: index + 1 }));

/** Where the columns are, or a sentence that says why this is no header of a product CSV. */
function readHeader(cells: string[]): Map<Column, number> | string {
  const names = cells.map((cell) => cell.trim().toLowerCase());
  const places = new Map<Column, number>();
  for (const column of columns) {
    const place = names.indexOf(column.toLowerCase());
    if (place === -1) continue;
    if (names.includes(column.toLowerCase(), place + 1))
      return `The header names the column ${column} twice.`;
    places.set(column, place);
  }
  const missing = requiredColumns.filter((column) => !places.has(column));
  if (missing.length === 0) return places;
  return `The first row is no header of a Shopify product CSV: it lacks ${missing.join(", ")}.`;
}

/** Why a text cannot be a CSV at all, seen without reading its rows. */
function refusalOf(text: string): string | undefined {
  const { csvLengthMax } = importLimits;
  if (text.length > csvLengthMax) return `The file is longer than ${csvLengthMax} characters; split it.`;
  if (text.trim() === "") return "The file is empty.";
  if (text.includes("\0")) return "The file is binary, not text; export it as CSV in UTF-8.";
  if (/^\s*"?handle"?[;\t]/i.test(text.slice(0, 1000))) {
    return "The columns are not separated by commas; save the file as comma-separated values.";
  }
  if (/^\s*</.test(text.slice(0, 1000))) return "The file is a page of HTML or XML, not a CSV.";
  return undefined;
}

function rowOf({ line, cells }: CsvRecord, places: Map<Column, number>, width: number): Row {
  const row: Row = { line, cell: (column) => (cells[places.get(column) ?? -1] ?? "").trim() };
  if (cells.slice(width).some((cell) => cell.trim() !== "")) {
    const detail = `The row has ${cells.length} cells, the header ${width}; a cell with a comma needs quotes around it.`;
    refuse(row, "CELLS_TOO_MANY", detail);
  }
  return row;
}

/** All problems in the order of the file; past the limit one last entry tells how many more there are. */
function listProblems(rows: Row[], broken: BrokenRecord[]): RowProblem[] {
  const { problemsMax } = importLimits;
  const problems = [
    ...rows.flatMap(({ problem }) => (problem ? [problem] : [])),
    ...broken.map(({ line, detail }) => ({ line, reason: "QUOTES_BROKEN", detail })),
  ].toSorted((a, b) => a.line - b.line);
  const next = problems[problemsMax];
  if (!next) return problems;
  const detail = `${problems.length - problemsMax} more rows are broken from this line on.`;
  return [...problems.slice(0, problemsMax), { line: next.line, reason: "PROBLEMS_TOO_MANY", detail }];
}

/**
 * Reads a Shopify product CSV, with prices as exact minor units of `currency` (ISO 4217). Rows are grouped by handle.
 * A broken row is reported and skipped, the others are kept; a product whose first row cannot start it is refused
 * with its rows. Rows of empty cells are ignored. A text that is no such CSV, or exceeds `importLimits` (or the
 * smaller limits given) as a whole, is answered by `not_csv`. Pure; throws nothing for any text.
 */
export function parseShopifyCsv(
  text: string,
  options: { currency: string; productsMax?: number; rowsMax?: number },
): ShopifyCatalogue {
  const { currency, productsMax = importLimits.productsMax, rowsMax = importLimits.rowsMax } = options;
  const refusal = refusalOf(text);
  if (refusal !== undefined) return { kind: "not_csv", detail: refusal };
  const read = readRecords(text, rowsMax + 1);
  if (typeof read === "string") return { kind: "not_csv", detail: read };
  const [header, ...records] = read.records;
  const isHeaderBroken = !header || read.broken.some(({ line }) => line < header.line);
  if (isHeaderBroken)
    return {
      kind: "not_csv",
      detail: "The first row is no header of a Shopify product CSV: its quotes are unbalanced.",
    };
  const places = readHeader(header.cells);
  if (typeof places === "string") return { kind: "not_csv", detail: places };

  const filled = records.filter(({ cells }) => cells.some((cell) => cell.trim() !== ""));
  const rows = filled.map((record) => rowOf(record, places, header.cells.length));
  const reading: Reading = { currency, drafts: new Map(), skuLines: new Map() };
  for (const row of rows) readRow(row, reading);

  const products = [...reading.drafts.values()].flatMap((draft) =>
    draft?.product.variants.length ? [draft.product] : [],
  );
  if (products.length > productsMax) {
    return {
      kind: "not_csv",
      detail: `The file has ${products.length} products; ${productsMax} are allowed; split it.`,
    };
  }
  for (const product of products) product.media = ordered(product.media);
  nameVariants(products, new Set(rows.map((row) => oneLine(row.cell("Variant SKU")))));
  return {
    kind: "catalogue",
    products,
    problems: listProblems(rows, read.broken),
    rows: rows.length + read.broken.length,
  };
}
