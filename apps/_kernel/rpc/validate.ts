import { type DescField, type DescMessage, fromJson, type JsonValue, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
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

/** PostgreSQL stores no NUL character in a text, so no field of the contract takes one. */
function nulViolations(desc: DescMessage, message: Message, at = "#"): Violation[] {
  const reflected = reflect(desc, message);
  return desc.fields.flatMap((field) => {
    if (!reflected.isSet(field)) return [];
    const pointer = `${at}/${field.jsonName}`;
    const value: unknown = reflected.get(field);
    if (field.fieldKind === "message")
      return nulViolations(field.message, (value as { message: Message }).message, pointer);
    const values = field.fieldKind === "list" ? [...(value as Iterable<unknown>)] : [value];
    return values.flatMap((item, index) => {
      const itemPointer = field.fieldKind === "list" ? `${pointer}/${index}` : pointer;
      if (field.fieldKind === "list" && field.message) {
        return nulViolations(field.message, (item as { message: Message }).message, itemPointer);
      }
      const hasNul = typeof item === "string" && item.includes("\0");
      return hasNul ? [{ pointer: itemPointer, detail: "must not contain the NUL character" }] : [];
    });
  });
}

/** Refuses requests that break the rules of their contract: VALIDATION with a pointer to each field. */
export const validation: Interceptor = (next) => (request) => {
  if (!request.stream) {
    const { input } = request.method;
    const violations = [...violationsOf(input, request.message), ...nulViolations(input, request.message)];
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
    const pointer = `${at}/${escaped(name)}`;
    const field = fields.get(name);
    if (!field) return [{ pointer, detail: `unknown field "${name.slice(0, 100)}"` }];
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
  problem.replace(/^cannot decode (field|message|\S+) \S+ from JSON:? ?/, "").slice(0, 200);
