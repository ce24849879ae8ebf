import type { ConnectRouter } from "@connectrpc/connect";
import openapi from "@mall/gen/openapi/mall.json";
import { docsRoutes } from "@mall/kernel/docs";
import { type EnvSource, parseEnv } from "@mall/kernel/env";
import { healthRoutes, problemAnswers, type Readiness } from "@mall/kernel/http";
import { serviceTokens } from "@mall/kernel/identity/service-token";
import { jsonLog } from "@mall/kernel/log";
import type { Registry } from "@mall/kernel/registry/port";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import { secureHeaders } from "hono/secure-headers";
import { gatewayEnv } from "./env";
import { forward } from "./forward";
import { grpcProxy } from "./grpc";
import { type Introduce, introductions } from "./introduce";
import { problemPage } from "./problems";
import { routes } from "./routes";

export interface GatewayResources {
  env: EnvSource;
  registry: Registry;
  /** A file of the documentation page. */
  docsAsset(name: string): Promise<Response | undefined>;
  /** What `/readyz` answers; without it the gateway is ready as soon as it listens. */
  ready?(): Promise<Readiness>;
}

const allowHeaders = [
  ...[
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "X-Cart-Secret",
    "X-Order-Secret",
    "If-Match",
    "X-Request-Id",
  ],
  ...[
    "Connect-Protocol-Version",
    "Connect-Timeout-Ms",
    "X-Grpc-Web",
    "X-User-Agent",
    "Grpc-Timeout",
    "traceparent",
  ],
];
const exposeHeaders = [
  ...["ETag", "Idempotent-Replayed", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-Id"],
  ...["Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin"],
];

/** What a host tells about the connection of a request. */
interface Connection {
  address?: string;
}

const webhookBytesMax = 256 * 1024;

/** Origins that browsers may call from: the listed ones, or all while developing. */
function allowedOrigin(listed: string, isProduction: boolean): string | string[] {
  const origins = listed
    .split(",")
    .map((origin) => origin.trim())
    .filter(Boolean);
  return origins.length > 0 || isProduction ? origins : "*";
}

/** A report of QStash about a failed event holds the event and the answer to it in base64. */
const eventBytesMax = 4 * 1024 * 1024;

/** Where QStash delivers: passed on byte by byte, for the service checks the signature. */
function eventRoutes(app: Hono, registry: Registry): void {
  for (const path of ["/_events/:service", "/_events/:service/failed"]) {
    app.post(path, (c, next) => {
      const service = serviceNames.find((name) => name === c.req.param("service"));
      return service ? forward(registry, service, c.req.raw, { bodyBytesMax: eventBytesMax }) : next();
    });
  }
}

/** Every public RPC by its paths, sent on with an introduction of its client. */
function rpcRoutes(app: Hono, registry: Registry, introduce: Introduce): void {
  const patterns = new Map<string, { service: ServiceName; bodyBytesMax: number }>();
  for (const { service, rpcPath, rest, bodyBytesMax, isRepeatable } of routes) {
    const send = async ({ req: { raw }, env }: Context) => {
      const own = await introduce(service, raw.headers, (env as Connection).address);
      return forward(registry, service, raw, { bodyBytesMax, isRepeatable, own });
    };
    app.on(["GET", "POST"], rpcPath, send);
    if (!rest) continue;
    app.on(rest.verb, rest.pattern, send);
    patterns.set(rest.pattern, { service, bodyBytesMax });
  }
  // the owning service names the verbs that exist
  for (const [pattern, { service, bodyBytesMax }] of patterns) {
    app.all(pattern, (c) => forward(registry, service, c.req.raw, { bodyBytesMax }));
  }
}

/** The edge of the mall as its host sees it. */
export interface Gateway {
  /** Answers a request that came over a connection from this address. */
  fetch(request: Request, address?: string): Promise<Response>;
  /** Registers every public RPC on the router of the HTTP/2 port. */
  grpcRoutes(router: ConnectRouter): void;
}

/** The edge of the mall: routing, CORS, security headers, limits, documents. It never decodes a body. */
export function createGateway({ env: source, registry, docsAsset, ready }: GatewayResources): Gateway {
  const env = parseEnv(gatewayEnv, source);
  const introduce = introductions(serviceTokens(env.MALL_MASTER_KEY, "gateway", () => new Date()));
  const app = new Hono();
  app.use(secureHeaders({ crossOriginResourcePolicy: "cross-origin" }));
  app.use(
    cors({
      origin: allowedOrigin(env.CORS_ORIGINS, env.MALL_ENV === "production"),
      allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
      allowHeaders,
      exposeHeaders,
      maxAge: 7200,
    }),
  );
  healthRoutes(app, ready ?? (async () => ({ ready: true, checks: {} })));
  app.get("/openapi.json", (c) => c.json(openapi));
  docsRoutes(app, docsAsset);
  app.get("/problems/:reason", problemPage);
  app.get("/", (c) => c.redirect("/docs"));
  app.get("/.well-known/jwks.json", (c) =>
    forward(registry, "auth", c.req.raw, { bodyBytesMax: 0, isRepeatable: true }),
  );
  eventRoutes(app, registry);
  // raw and unread: the provider's signature is over the bytes, and the payment service checks it
  app.post("/webhooks/payments/:provider", (c) =>
    forward(registry, "payment", c.req.raw, { bodyBytesMax: webhookBytesMax }),
  );
  rpcRoutes(app, registry, introduce);
  problemAnswers(app, jsonLog("gateway", env.LOG_LEVEL));
  return {
    fetch: async (request, address) => app.fetch(request, { address }),
    grpcRoutes: grpcProxy(registry, introduce),
  };
}
