import { type DescField, type DescMessage, fromJson, isMessage, type JsonValue } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { holdsCardNumber, maskCardNumbers } from "../card-number";
import { invalid, type Violation } from "../fault";
import { restInputOf } from "./http-rule";

const validator = createValidator();

type Path = { kind: string; index?: number; key?: unknown; jsonName?: string; name?: string }[];

/** JSON pointer of a protovalidate field path, in the names of the JSON form. */
function pointerOf(path: Path): string {
  const parts = path.map((part) =>
    part.kind === "list_sub"
      ? String(part.index)
      : part.kind === "map_sub"
        ? String(part.key)
        : (part.jsonName ?? part.name ?? ""),
  );
  return `#${parts.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")}`;
}

/** Holds a message against the rules of its contract; no violations means valid. */
export function violationsOf(desc: DescMessage, message: unknown): Violation[] {
  const result = validator.validate(desc, message as never);
  if (result.kind === "valid") return [];
  if (result.kind === "error") throw result.error;
  return result.violations.map((v) => ({
    pointer: pointerOf(v.field as unknown as Path),
    detail: v.message,
  }));
}

/** Calls `visit` with every text of a value, keys of maps too, and its JSON pointer. */
function visitTexts(
  value: unknown,
  desc: DescMessage | undefined,
  pointer: string,
  visit: (text: string, pointer: string) => void,
): void {
  if (typeof value === "string") visit(value, pointer);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) visitTexts(item, desc, `${pointer}/${index}`, visit);
  } else if (desc && isMessage(value)) {
    for (const field of desc.fields) {
      visitTexts(fieldValue(value, field), field.message, `${pointer}/${field.jsonName}`, visit);
    }
  } else {
    for (const [key, item] of Object.entries(value)) {
      const inside = `${pointer}/${escaped(maskCardNumbers(key))}`;
      visit(key, inside);
      visitTexts(item, desc, inside, visit);
    }
  }
}

/** The value of a field as the message holds it, undefined when it is not set. */
function fieldValue(message: object, field: DescField): unknown {
  const values = message as Record<string, unknown>;
  if (!field.oneof) return values[field.localName];
  const chosen = values[field.oneof.localName] as { case?: string; value?: unknown };
  return chosen.case === field.localName ? chosen.value : undefined;
}

/** Fields whose texts may look like card numbers: columns of barcodes and numbers of any kind. */
const catalogues = new Set(["mall.product.v1.ImportProductsRequest#/csv"]);

/**
 * What no text of the contract may hold: the NUL character, which PostgreSQL does not store, and a card number, which
 * belongs to the payment provider alone (PCI DSS) and must reach neither a table nor a log.
 */
export function textViolations(desc: DescMessage, message: unknown): Violation[] {
  const found: Violation[] = [];
  visitTexts(message, desc, "#", (text, pointer) => {
    if (text.includes("\0")) found.push({ pointer, detail: "must not contain the NUL character" });
    if (holdsCardNumber(text) && !catalogues.has(desc.typeName + pointer)) {
      found.push({ pointer, detail: cardNumberDetail });
    }
  });
  return found;
}

/** What is said about a card number in a request. */
export const cardNumberDetail = "must not contain a card number";

/** Refuses requests that break the rules of their contract: VALIDATION with a pointer to each field. */
export const validation: Interceptor = (next) => (request) => {
  if (!request.stream) {
    const { input } = request.method;
    const violations = [...violationsOf(input, request.message), ...textViolations(input, request.message)];
    if (violations.length > 0) throw invalid(restInputOf(request.method).named(violations));
  }
  return next(request);
};

const decodes = (desc: DescMessage, json: JsonValue): string | undefined => {
  try {
    fromJson(desc, json, { ignoreUnknownFields: false });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

const escaped = (name: string) => name.replaceAll("~", "~0").replaceAll("/", "~1");
const isObject = (json: JsonValue | undefined): json is { [key: string]: JsonValue } =>
  typeof json === "object" && json !== null && !Array.isArray(json);

/**
 * Why JSON is not of a message: one violation for each unknown field and each value of the wrong type, found by
 * decoding every part alone. Empty when it decodes.
 */
export function explainJson(desc: DescMessage, json: JsonValue, at = "#"): Violation[] {
  const problem = decodes(desc, json);
  if (problem === undefined) return [];
  const wellKnown = desc.typeName.startsWith("google.protobuf.");
  if (!isObject(json) || wellKnown) {
    return [{ pointer: at, detail: wellKnown ? plain(problem) : "must be an object" }];
  }
  const fields = new Map(desc.fields.flatMap((f) => [[f.jsonName, f] as const, [f.name, f] as const]));
  const found = Object.entries(json).flatMap(([name, value]) => {
    const shown = maskCardNumbers(name);
    const pointer = `${at}/${escaped(shown)}`;
    const field = fields.get(name);
    if (!field) return [{ pointer, detail: `unknown field "${shown.slice(0, 100)}"` }];
    return explainField(desc, field, name, value, pointer);
  });
  return found.length > 0 ? found : [{ pointer: at, detail: plain(problem) }];
}

function explainField(
  desc: DescMessage,
  field: DescField,
  name: string,
  value: JsonValue,
  pointer: string,
): Violation[] {
  if (field.fieldKind === "message") return explainJson(field.message, value, pointer);
  if (field.fieldKind === "list" && field.listKind === "message" && Array.isArray(value)) {
    return value.flatMap((item, index) => explainJson(field.message, item, `${pointer}/${index}`));
  }
  const problem = decodes(desc, { [name]: value });
  return problem === undefined ? [] : [{ pointer, detail: plain(problem) }];
}

/** The library's sentence without the name of the message, which says nothing to clients. */
const plain = (problem: string): string =>
  maskCardNumbers(problem.replace(/^cannot decode (field|message|\S+) \S+ from JSON:? ?/, "")).slice(0, 200);
