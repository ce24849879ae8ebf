import { ConnectError } from "@connectrpc/connect";
import { eachBounded } from "@mall/kernel/concurrency";
import { invalid } from "@mall/kernel/fault";
import { methodNotAllowed, problemResponse } from "@mall/kernel/problem";
import { requestIdOf } from "@mall/kernel/rpc/request-id";
import type { Context, Hono } from "hono";
import * as z from "zod/mini";
import { connectionOf, type Edge, limited } from "./edge";
import { edgeError } from "./edge-error";
import { receivedBody } from "./request-limits";

export const batchLimits = { partsMax: 10, atOnceMax: 5, bodyBytesMax: 1024 * 1024 };

/** What all parts have from the request they came in: who asks, and how long that one waits. */
const inherited = [
  ...["authorization", "x-cart-secret", "x-order-secret", "user-agent"],
  ...["connect-timeout-ms", "traceparent"],
];
/** What a part may say for itself: never who asks. */
const own = ["idempotency-key", "if-match", "if-none-match", "x-cart-secret", "x-order-secret"] as const;
const told = [
  "content-type",
  "etag",
  "retry-after",
  "idempotent-replayed",
  "x-request-id",
  "age",
  "cache-status",
];

const headerName = z.pipe(
  z.pipe(
    z.string(),
    z.transform((name) => name.toLowerCase()),
  ),
  z.enum(own, { error: `must be one of ${own.join(", ")}` }),
);

/** Also when it is written with dots, as it is or encoded, which addresses resolve. */
const isUnderV1 = (path: string): boolean =>
  path.startsWith("/v1/") && new URL(path, "http://mall").pathname.startsWith("/v1/");

const part = z.strictObject({
  id: z._default(z.string().check(z.maxLength(64)), ""),
  method: z.enum(["GET", "POST", "PUT", "PATCH", "DELETE"]),
  path: z.string().check(z.maxLength(4096), z.refine(isUnderV1, { error: "must be a path under /v1" })),
  headers: z._default(z.record(headerName, z.string().check(z.maxLength(512))), {} as never),
  body: z.optional(z.record(z.string(), z.json())),
});
const envelope = z.strictObject({
  requests: z.array(part).check(z.minLength(1), z.maxLength(batchLimits.partsMax)),
});

type Part = z.infer<typeof part>;

async function partsOf(request: Request): Promise<Part[]> {
  const bytes = await receivedBody(request, batchLimits.bodyBytesMax);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid([{ pointer: "#", detail: "is not JSON" }]);
  }
  const { data, error } = envelope.safeParse(json);
  if (data) return data.requests;
  throw invalid(
    error.issues.map(({ path, message }) => ({
      pointer: ["#", ...path.map(String)].join("/"),
      detail: message,
    })),
  );
}

/** The request that a part stands for, as if its client had sent it alone. */
function requestOf({ method, path, headers: given, body }: Part, outer: Request): Request {
  const headers = new Headers({ "x-request-id": crypto.randomUUID() });
  for (const name of inherited) {
    const value = outer.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  for (const [name, value] of Object.entries(given)) headers.set(name, value);
  if (body) headers.set("content-type", "application/json");
  const { origin } = new URL(outer.url);
  return new Request(new URL(path, origin), {
    ...{ method, headers, signal: outer.signal },
    body: body && method !== "GET" ? JSON.stringify(body) : undefined,
  });
}

/** An answer as a text of JSON, its body unchanged. */
async function textOf({ id }: Part, response: Response): Promise<string> {
  const headers: Record<string, string> = {};
  for (const name of told) {
    const value = response.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  const isJson = /[/+]json\b/.test(headers["content-type"] ?? "");
  const text = await response.text();
  const body = text === "" ? "null" : isJson ? text : JSON.stringify(text);
  const { status } = response;
  return `{"id":${JSON.stringify(id)},"status":${status},"headers":${JSON.stringify(headers)},"body":${body}}`;
}

/**
 * `POST /v1/batch`: up to ten requests of REST in one, each answered by itself as if it had come alone: under the
 * identity of the batch, with its own limits, status and errors, in no order among each other. Faults VALIDATION when the
 * batch itself is none.
 */
export function batchRoute(app: Hono, edge: Edge): void {
  app.post("/v1/batch", limited(edge, "UNSPECIFIED"), async (c: Context) => {
    const { raw } = c.req;
    const connection = connectionOf(c);
    try {
      if (connection.isPart) throw invalid([{ parameter: "path", detail: "a batch cannot be in a batch" }]);
      const parts = await partsOf(raw);
      const texts: string[] = [];
      await eachBounded(parts, batchLimits.atOnceMax, async (each, i) => {
        const response = await app.fetch(requestOf(each, raw), { ...connection, isPart: true });
        texts[i] = await textOf(each, response);
      });
      const headers = { "content-type": "application/json", "cache-control": "no-store" };
      return new Response(`{"responses":[${texts.join(",")}]}`, { headers });
    } catch (error) {
      return problemResponse(ConnectError.from(error), requestIdOf(raw.headers));
    }
  });
  app.all("/v1/batch", limited(edge, "UNSPECIFIED"), (c) =>
    edgeError(c.req.raw, methodNotAllowed(c.req.method, ["POST"])),
  );
}
