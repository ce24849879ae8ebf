import {
  type DescMethodUnary,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { type Context, Hono } from "hono";
import { maskCardNumbers } from "../card-number";
import { fault, invalid, type Violation } from "../fault";
import { methodNotAllowed, problemResponse } from "../problem";
import { readBody } from "./body";
import { requestKey, statusKey } from "./context";
import { timeoutMsOf } from "./deadline";
import { type HttpRule, httpRuleOf, parameterValue, restInputOf } from "./http-rule";
import { bodyBytesMaxOf } from "./limits";
import { isPublicRead, policyOf } from "./policy";
import { requestIdOf } from "./request-id";
import { jsonOptions, type RpcServer } from "./server";
import { explainJson } from "./validate";

type Input = { [key: string]: JsonValue };

function fromParameters(rule: HttpRule, c: Context): Input {
  const input: Input = {};
  for (const field of rule.pathFields)
    input[field.jsonName] = parameterValue(field, c.req.param(field.name) ?? "");
  const query = c.req.queries();
  const known = new Map(rule.queryFields.map((f) => [f.jsonName, f]));
  const violations: Violation[] = [];
  for (const [name, values] of Object.entries(query)) {
    const field = known.get(name);
    const shown = maskCardNumbers(name).slice(0, 100);
    if (!field) violations.push({ parameter: shown, detail: `unknown parameter "${shown}"` });
    else if (values.length > 1) violations.push({ parameter: name, detail: "is given more than once" });
    else input[name] = parameterValue(field, values[0]!);
  }
  if (violations.length > 0) throw invalid(violations);
  return input;
}

async function fromBody(method: DescMethodUnary, rule: HttpRule, request: Request): Promise<Input> {
  if (!rule.hasBody) return {};
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  const bytes = await readBody(request, bodyBytesMaxOf(method));
  if (bytes.byteLength === 0) return {};
  if (type !== "application/json") {
    throw fault("invalid_argument", "UNSUPPORTED_MEDIA_TYPE", "Send the body as application/json.");
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid([{ pointer: "#", detail: "is not JSON" }]);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw invalid([{ pointer: "#", detail: "must be an object" }]);
  return json as JsonObject;
}

/** Puts path, query, If-Match and body together and decodes them strictly: the one judge of all surfaces. */
async function readRequest(method: DescMethodUnary, rule: HttpRule, c: Context): Promise<Message> {
  const parameters = fromParameters(rule, c);
  const body = await fromBody(method, rule, c.req.raw);
  const taken = rule.pathFields.find((f) => f.jsonName in body || f.name in body);
  if (taken) throw invalid([{ pointer: `#/${taken.jsonName}`, detail: "belongs in the path" }]);
  const input: Input = { ...body, ...parameters };
  const ifMatch = c.req.header("if-match");
  if (ifMatch !== undefined && method.input.field.expectedVersion) {
    const version = /^"([1-9][0-9]{0,9})"$/.exec(ifMatch)?.[1];
    if (!version) throw invalid([{ parameter: "If-Match", detail: 'must be one strong ETag such as "3"' }]);
    input.expectedVersion = Number(version);
  }
  try {
    return fromJson(method.input, input, jsonOptions);
  } catch (error) {
    const violations = explainJson(method.input, input);
    throw invalid(
      restInputOf(method).named(
        violations.length > 0 ? violations : [{ pointer: "#", detail: String(error) }],
      ),
    );
  }
}

/** The answer's version as a strong ETag, when it is one versioned resource. */
function etagOf(json: JsonObject): string | undefined {
  const [resource, ...others] = Object.values(json);
  const version = others.length === 0 && (resource as JsonObject | undefined)?.version;
  return typeof version === "number" && version > 0 ? `"${version}"` : undefined;
}

function restHandler(server: RpcServer, method: DescMethodUnary, rule: HttpRule) {
  const success = policyOf(method)?.successStatus || 200;
  return async (c: Context): Promise<Response> => {
    const header = new Headers(c.req.raw.headers);
    const requestId = requestIdOf(header);
    header.set("x-request-id", requestId);
    try {
      const { message, context } = await server.call({
        method,
        header,
        protocol: "rest",
        requestMethod: c.req.method,
        url: c.req.url,
        signal: c.req.raw.signal,
        timeoutMs: timeoutMsOf(header),
        read: () => readRequest(method, rule, c),
      });
      const json = toJson(method.output, message as never, jsonOptions) as JsonObject;
      const headers = new Headers(context.responseHeader);
      headers.set("content-type", "application/json");
      headers.set("x-request-id", context.values.get(requestKey).requestId);
      if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
      const etag = isPublicRead(method) ? undefined : etagOf(json);
      if (etag) headers.set("etag", etag);
      return new Response(JSON.stringify(json), {
        status: context.values.get(statusKey) || success,
        headers,
      });
    } catch (error) {
      return problemResponse(ConnectError.from(error), requestId);
    }
  };
}

/** Mounts the REST route of every RPC that has one. */
export function restRoutes(server: RpcServer): Hono {
  const app = new Hono();
  const verbsOf = new Map<string, Set<string>>();
  for (const service of server.services) {
    for (const method of service.methods) {
      const rule = httpRuleOf(method);
      if (!rule || method.methodKind !== "unary") continue;
      app.on(rule.verb.toUpperCase(), rule.pattern, restHandler(server, method as DescMethodUnary, rule));
      verbsOf.set(rule.pattern, (verbsOf.get(rule.pattern) ?? new Set()).add(rule.verb.toUpperCase()));
    }
  }
  for (const [pattern, verbs] of verbsOf) {
    app.all(pattern, (c) => {
      return problemResponse(methodNotAllowed(c.req.method, verbs), requestIdOf(c.req.raw.headers));
    });
  }
  return app;
}
