import { type DescField, type DescMethod, getOption, hasOption, ScalarType } from "@bufbuild/protobuf";
import { http } from "@mall/gen/google/api/annotations_pb";
import type { Violation } from "../fault";

/** The HTTP mapping of an RPC (google.api.http): the one source for REST routes, gateway routes and OpenAPI. */
export interface HttpRule {
  verb: "get" | "post" | "put" | "patch" | "delete";
  /** Hono pattern: /v1/carts/:cart_id/items. */
  pattern: string;
  /** Fields taken from the path. */
  pathFields: DescField[];
  /** Fields taken from the query: all others when there is no body. */
  queryFields: DescField[];
  hasBody: boolean;
}

const verbs = ["get", "post", "put", "patch", "delete"] as const;
const rules = new WeakMap<DescMethod, HttpRule | null>();

/** The HTTP rule of a method; undefined for methods that are not on REST. */
export function httpRuleOf(method: DescMethod): HttpRule | undefined {
  const known = rules.get(method);
  if (known !== undefined) return known ?? undefined;
  const made = readRule(method) ?? null;
  rules.set(method, made);
  return made ?? undefined;
}

function readRule(method: DescMethod): HttpRule | undefined {
  if (!hasOption(method, http)) return undefined;
  const rule = getOption(method, http);
  const verb = verbs.find((v) => v === rule.pattern.case);
  if (!verb) throw new Error(`${method.name}: only get, post, put, patch and delete are mapped`);
  if (rule.body !== "" && rule.body !== "*") throw new Error(`${method.name}: body must be "*" or absent`);
  const path = rule.pattern.value as string;
  const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
  const pathFields = names.map((name) => {
    const field = method.input.fields.find((f) => f.name === name);
    if (!field) throw new Error(`${method.name}: no field ${name} for the path`);
    return field;
  });
  const rest = method.input.fields.filter((f) => !pathFields.includes(f));
  const hasBody = rule.body === "*";
  return {
    verb,
    pattern: path.replaceAll(/\{(\w+)\}/g, ":$1"),
    pathFields,
    queryFields: hasBody ? [] : rest.filter((f) => f.name !== "expected_version"),
    hasBody,
  };
}

/** The JSON value of a text parameter, by the type of its field; wrong texts stay texts and fail to decode. */
export function parameterValue(field: DescField, text: string): string | number | boolean {
  if (field.fieldKind !== "scalar") return text;
  if (field.scalar === ScalarType.BOOL) return text === "true" ? true : text === "false" ? false : text;
  return text;
}

/** Says where a violation's field came from in the REST form of the request. */
export function restInputOf(method: DescMethod): { named(violations: Violation[]): Violation[] } {
  const rule = httpRuleOf(method);
  const parameters = new Set(
    [...(rule?.pathFields ?? []), ...(rule?.queryFields ?? [])].map((f) => f.jsonName),
  );
  return {
    named: (violations) =>
      violations.map((v) => {
        const name = v.pointer?.slice(2).split("/")[0] ?? "";
        if (parameters.has(name)) return { parameter: name, detail: v.detail };
        return name === "expectedVersion" && !rule?.hasBody ? { parameter: "If-Match", detail: v.detail } : v;
      }),
  };
}
