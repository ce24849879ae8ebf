import type { DescField, DescMethod } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { createRoute, type RouteConfig, z } from "@hono/zod-openapi";
import { Access, Idempotency } from "@mall/gen/mall/common/v1/options_pb";
import { fault } from "@mall/kernel/fault";
import { type HttpRule, httpRuleOf } from "@mall/kernel/rpc/http-rule";
import { isStoredRefusal } from "@mall/kernel/rpc/idempotency";
import { bodyBytesMaxOf } from "@mall/kernel/rpc/limits";
import { isPublicRead, policyOf } from "@mall/kernel/rpc/policy";
import { commentOf, summaryOf } from "./contract";
import { type Reason, reasons, reasonsOf, statusOf } from "./errors";
import { bodyExamples } from "./examples";
import { problem } from "./problem";
import type { Schemas } from "./schema";

type Answers = RouteConfig["responses"];
type Secret = "cartSecret" | "orderSecret";

/** What transport code decides beyond the contract's success status, and so no descriptor tells. */
const otherSuccess: Record<string, { status: number; description: string }> = {
  // a signed-in user has one open cart; returning it again creates nothing
  CreateCart: { status: 200, description: "The open cart that the signed-in user had already." },
  // money may have moved: neither a success nor a refusal would be true
  PlaceOrder: { status: 202, description: "The outcome of the payment is not known yet: poll GetCheckout." },
  PayCheckout: { status: 202, description: "The outcome of the payment is not known yet: poll GetCheckout." },
};

/** Public methods that do more for a signed-in user. */
const optionalBearer = new Set(["CreateCart"]);

/** Secrets that open the object a request names. */
const secretsOfField: Record<string, readonly Secret[]> = {
  cart_id: ["cartSecret"],
  order_id: ["orderSecret"],
  checkout_id: ["cartSecret", "orderSecret"],
};

export const secretHeaders: Record<Secret, { name: string; description: string }> = {
  cartSecret: { name: "X-Cart-Secret", description: "Secret of a guest's cart, from CreateCart." },
  orderSecret: { name: "X-Order-Secret", description: "Secret of a guest's order, from PlaceOrder." },
};

const text = { type: "string" } as const;

/** Headers of answers; components that operations refer to. */
export const answerHeaders = {
  "X-Request-Id": {
    description: "Id of the request: the caller's if it was a UUID, else a new one.",
    schema: { ...text, format: "uuid" },
  },
  "Retry-After": { description: "Seconds to wait before the next try.", schema: { type: "integer" } },
  ETag: { description: "Version of the resource, for If-Match.", schema: text, example: '"3"' },
  "Idempotent-Replayed": {
    description: "Present when this is the stored answer to the first request with the key.",
    schema: text,
    example: "true",
  },
  "WWW-Authenticate": { description: "How to sign in.", schema: text, example: 'Bearer realm="edgemall"' },
} as const;

type AnswerHeader = keyof typeof answerHeaders;

const headers = (...names: AnswerHeader[]) =>
  Object.fromEntries(
    ["X-Request-Id", ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );

function secretsOf(method: DescMethod): Secret[] {
  if (policyOf(method)?.access !== Access.HOLDER) return [];
  const found = method.input.fields.flatMap((field) => secretsOfField[field.name] ?? []);
  if (found.length === 0)
    throw new Error(`${method.name}: which secret holds its object? (infra/openapi/operation.ts)`);
  return found;
}

function securityOf(method: DescMethod): RouteConfig["security"] {
  if (policyOf(method)?.access !== Access.PUBLIC)
    return [{ bearer: [] }, ...secretsOf(method).map((secret) => ({ [secret]: [] }))];
  return optionalBearer.has(method.name) ? [{}, { bearer: [] }] : [];
}

/** Headers that a request may or must have; without examples, which documentation pages would send unasked. */
function requestHeaders(method: DescMethod): z.ZodObject | undefined {
  const shape: Record<string, z.ZodType> = {};
  if (needsKey(method)) {
    const description =
      "Fresh random value for each intended effect, such as a UUID; a repetition gets the same answer.";
    shape["Idempotency-Key"] = z
      .string()
      .regex(/^[\x21-\x7e]{1,255}$/)
      .openapi({ param: { description } });
  }
  const version = method.input.field.expectedVersion;
  if (version) {
    const meaning = commentOf(version).replace(" REST: If-Match.", "");
    const description = `${meaning} As a strong ETag, such as "3".`;
    shape["If-Match"] = z
      .string()
      .regex(/^"[1-9][0-9]{0,9}"$/)
      .optional()
      .openapi({ param: { description } });
  }
  for (const secret of secretsOf(method)) {
    const { name, description } = secretHeaders[secret];
    shape[name] = z.string().optional().openapi({ param: { description } });
  }
  return Object.keys(shape).length > 0 ? z.object(shape) : undefined;
}

const needsKey = (method: DescMethod) => policyOf(method)?.idempotency === Idempotency.KEY_REQUIRED;

/** Whether a success can be one versioned resource alone, whose version REST sends as ETag. */
function hasEtag(method: DescMethod): boolean {
  const { output } = method;
  if (isPublicRead(method)) return false;
  const [resource, ...others] = output.fields;
  const mayBeAbsent = (field: DescField) =>
    field.fieldKind === "scalar" && field.presence === FeatureSet_FieldPresence.EXPLICIT;
  return resource?.message?.field.version !== undefined && others.every(mayBeAbsent);
}

function successes(method: DescMethod, schemas: Schemas): Answers {
  const content = { "application/json": { schema: schemas.response(method.output) } };
  const [first] = method.output.fields;
  const replayed = needsKey(method) ? (["Idempotent-Replayed"] as const) : [];
  const etag = hasEtag(method) ? (["ETag"] as const) : [];
  const description = (first && commentOf(first)) || "Done.";
  const answers: Answers = {
    [policyOf(method)?.successStatus || 200]: {
      description,
      headers: headers(...etag, ...replayed),
      content,
    },
  };
  const other = otherSuccess[method.name];
  if (other) {
    const wait = other.status === 202 ? (["Retry-After"] as const) : etag;
    answers[other.status] = { description: other.description, headers: headers(...wait), content };
  }
  return answers;
}

const problemContent = (why: readonly Reason[]) => {
  const examples = Object.fromEntries(why.map((name) => [name, { $ref: `#/components/examples/${name}` }]));
  return { "application/problem+json": { schema: problem, ...(why.length > 0 && { examples }) } };
};

/** Conflicts that end by themselves: like 503 they come with Retry-After. */
const passing: ReadonlySet<Reason> = new Set([
  "IDEMPOTENCY_KEY_IN_FLIGHT",
  "RATE_LIMITED",
  "CHECKOUT_IN_PROGRESS",
  "PAYMENT_IN_PROGRESS",
]);

const isStored = (reason: Reason) => isStoredRefusal(fault(reasons[reason][0], reason, ""));

function refusal(status: number, why: readonly Reason[], hasKey: boolean): Answers[string] {
  const names: AnswerHeader[] = [];
  if (status === 401) names.push("WWW-Authenticate");
  if (status === 503 || why.some((reason) => passing.has(reason))) names.push("Retry-After");
  if (hasKey && why.some(isStored)) names.push("Idempotent-Replayed");
  const description = why.map((reason) => `- \`${reason}\`: ${reasons[reason][1]}`).join("\n");
  return { description, headers: headers(...names), content: problemContent(why) };
}

/** Error answers for these reasons, one a status, and `default`. With a key, business refusals are replayed. */
export function refusals(why: readonly Reason[], hasKey: boolean): Answers {
  const byStatus = Map.groupBy(why, statusOf);
  const answers = [...byStatus].map(([status, same]) => [status, refusal(status, same, hasKey)]);
  const description = "Any other refusal or failure; `reason` names it.";
  return {
    ...Object.fromEntries(answers),
    default: { description, headers: headers(), content: problemContent([]) },
  };
}

function bodyOf(method: DescMethod, rule: HttpRule, schemas: Schemas) {
  if (!rule.hasBody) return undefined;
  const schema = schemas.body(method, rule.pathFields);
  const example = bodyExamples[method.name];
  return {
    description: `At most ${bodyBytesMaxOf(method)} bytes; unknown fields are refused.`,
    required: !schema.safeParse({}).success,
    content: { "application/json": { schema, ...(example && { example }) } },
  };
}

/** Who may call a method that asks for roles, as a sentence. */
function accessOf(method: DescMethod): string {
  const { access, roles = [], permission = "" } = policyOf(method) ?? {};
  if (access !== Access.ROLES) return "";
  const named = `Needs the role ${roles.join(" or ")}`;
  return permission === "" ? `${named}.` : `${named}, or the permission \`${permission}\`.`;
}

/** What the gateway answers who has the content of a public read already: apps/gateway/public-reads.ts. */
const unchanged = (method: DescMethod): Answers =>
  isPublicRead(method) && httpRuleOf(method)?.verb === "get"
    ? { 304: { description: "The content is the one whose ETag If-None-Match names.", headers: headers() } }
    : {};

/** The route of a method as OpenAPI describes it: what apps/_kernel/rpc/rest.ts serves. */
export function operationOf(method: DescMethod, schemas: Schemas): RouteConfig {
  const rule = httpRuleOf(method)!;
  const comment = commentOf(method);
  const security = securityOf(method);
  const why = reasonsOf(method, security!.length > 0);
  return createRoute({
    method: rule.verb,
    path: pathOf(rule),
    operationId: method.name,
    tags: [tagOf(method.parent.name)],
    summary: summaryOf(comment),
    description: [comment, accessOf(method)].filter(Boolean).join("\n\n"),
    security,
    request: {
      params: schemas.parameters(method, rule.pathFields),
      query: schemas.parameters(method, rule.queryFields),
      headers: requestHeaders(method),
      body: bodyOf(method, rule, schemas),
    },
    responses: { ...successes(method, schemas), ...unchanged(method), ...refusals(why, needsKey(method)) },
  } as RouteConfig);
}

/** "/v1/carts/:cart_id" → "/v1/carts/{cartId}": parameters have the names that violations call them by. */
export const pathOf = ({ pattern, pathFields }: HttpRule): string =>
  pattern.replaceAll(
    /:(\w+)/g,
    (_, name) => `{${pathFields.find((field) => field.name === name)!.jsonName}}`,
  );

/** "CartService" → "Cart". */
export const tagOf = (serviceName: string): string => serviceName.replace(/Service$/, "");
