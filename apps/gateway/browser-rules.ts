import type { Hono } from "hono";
import { cors } from "hono/cors";
import { secureHeaders } from "hono/secure-headers";

const allowHeaders = [
  ...["Authorization", "Content-Type", "Idempotency-Key", "X-Cart-Secret", "X-Order-Secret", "If-Match"],
  ...["If-None-Match", "X-Request-Id", "Connect-Protocol-Version", "Connect-Timeout-Ms", "X-Grpc-Web"],
  ...["X-User-Agent", "Grpc-Timeout", "traceparent"],
];
const exposeHeaders = [
  ...["ETag", "Age", "Cache-Status", "Idempotent-Replayed", "Retry-After", "RateLimit", "RateLimit-Policy"],
  ...["X-Request-Id", "Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin"],
];

/** Origins that browsers may call from: the listed ones, or all while developing. */
function allowedOrigin(listed: string, isProduction: boolean): string | string[] {
  const origins = listed
    .split(",")
    .map((origin) => origin.trim())
    .filter(Boolean);
  return origins.length > 0 || isProduction ? origins : "*";
}

/** Nothing that the mall answers is a page with parts, but the documentation, which has a policy of its own. */
const bare = "default-src 'none'; frame-ancestors 'none'";

/**
 * What browsers are told: which origins may call, never with credentials of the browser's own, and that no answer may be
 * framed, sniffed or run.
 */
export function browserRules(app: Hono, corsOrigins: string, isProduction: boolean): void {
  app.use(secureHeaders({ crossOriginResourcePolicy: "cross-origin", xFrameOptions: "DENY" }));
  app.use(async (c, next) => {
    await next();
    if (!c.res.headers.has("content-security-policy")) c.res.headers.set("content-security-policy", bare);
  });
  app.use(
    cors({
      origin: allowedOrigin(corsOrigins, isProduction),
      allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
      allowHeaders,
      exposeHeaders,
      maxAge: 7200,
    }),
  );
}
