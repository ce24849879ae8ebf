import type { Watch } from "@mall/kernel/breaker";
import { deriveKeys } from "@mall/kernel/crypto/derive";
import { docsRoutes } from "@mall/kernel/docs";
import { type EnvSource, parseEnv } from "@mall/kernel/env";
import { healthRoutes, problemAnswers, type Readiness } from "@mall/kernel/http";
import { accessTokenVerifier } from "@mall/kernel/identity/access-token";
import { serviceTokens } from "@mall/kernel/identity/service-token";
import { jsonLog } from "@mall/kernel/log";
import { labelled, type Metrics, processMetrics } from "@mall/kernel/metrics";
import type { Registry } from "@mall/kernel/registry/port";
import { Hono } from "hono";
import { admission, limitsOf, noAdmission, perAddressInProduction } from "./admission";
import { batchRoute } from "./batch";
import { browserRules } from "./browser-rules";
import { clientAddresses } from "./client-address";
import { guardedDependencies } from "./dependencies";
import { type Connection, type Edge, limited } from "./edge";
import { type GatewayEnv, gatewayEnv } from "./env";
import { introductions } from "./introduce";
import { type HostLimits, limiterOf } from "./limiter";
import { problemPage } from "./problems";
import { providerRoutes } from "./provider-routes";
import { type Background, publicReads } from "./public-reads";
import { sizedHead } from "./request-limits";
import { rpcRoutes } from "./rpc-routes";

export interface GatewayResources extends HostLimits {
  env: EnvSource;
  registry: Registry;
  /** A file of the documentation: of its page, or openapi.json. */
  docsAsset(name: string): Promise<Response | undefined>;
  /** Whether a request may wait for what another one asked for, which Workers do not allow; true when not said. */
  mayJoin?: boolean;
  /** Where the process counts. */
  metrics?: Metrics;
  /** What `/readyz` answers; without it the gateway is ready as soon as it listens. */
  ready?(): Promise<Readiness>;
}

/** The edge of the mall as its host sees it. */
export interface Gateway {
  /** Answers a request that came over a connection from this address; `background` keeps a Worker alive for more. */
  fetch(request: Request, address?: string, background?: Background): Promise<Response>;
  /** What other ports of the same host share with it. */
  edge: Edge;
}

/** What all routes have in common, by the environment. */
function edgeOf(
  env: GatewayEnv,
  { registry: reached, mayJoin = true, ...limits }: GatewayResources,
  watch: Watch,
): Edge {
  const clock = () => new Date();
  const isProduction = env.MALL_ENV === "production";
  const perAddress = env.RATE_LIMIT_PER_ADDRESS ?? (isProduction ? perAddressInProduction : 0);
  const cacheMs = env.PUBLIC_CACHE_MS ?? (isProduction ? 1_000 : 0);
  const registry = guardedDependencies(reached, watch);
  const admit = () =>
    admission({
      limiter: limiterOf(env, watch, limits),
      limits: limitsOf(perAddress),
      verifyAccessToken: accessTokenVerifier({
        fetchAuth: registry.fetch("auth"),
        clock,
        // where a Worker cuts it off with its request, a key that is not known is asked for in the request itself
        background: () => {},
      }).verify,
      hashKey: deriveKeys(env.MALL_MASTER_KEY, "rate-limit")[0]!,
    });
  return {
    registry,
    metrics: watch.metrics,
    publicRead: publicReads({ cacheMs, mayJoin }),
    introduce: introductions(serviceTokens(env.MALL_MASTER_KEY, "gateway", clock)),
    admit: perAddress > 0 ? admit() : noAdmission,
    clientAddressOf: clientAddresses(env.TRUSTED_PROXIES),
  };
}

/** Pages about the mall itself. */
function pages(app: Hono, docsAsset: GatewayResources["docsAsset"]): void {
  app.get("/openapi.json", async (c) => {
    const document = await docsAsset("openapi.json");
    return document
      ? new Response(document.body, { headers: { "content-type": "application/json" } })
      : c.notFound();
  });
  docsRoutes(app, docsAsset);
  app.get("/problems/:reason", problemPage);
  app.get("/", (c) => c.redirect("/docs"));
}

/** The edge of the mall: routing, CORS, security headers, limits, documents. It never decodes a body. */
export function createGateway(resources: GatewayResources): Gateway {
  const env = parseEnv(gatewayEnv, resources.env);
  const log = jsonLog("gateway", env.LOG_LEVEL);
  const metrics = labelled(resources.metrics ?? processMetrics(), { service: "gateway" });
  const edge = edgeOf(env, resources, { log, metrics });
  const app = new Hono();
  browserRules(app, env.CORS_ORIGINS, env.MALL_ENV === "production");
  app.use(sizedHead);
  healthRoutes(app, async () => {
    const { ready, checks } = (await resources.ready?.()) ?? { ready: true, checks: {} };
    return { ready, checks: { ...checks, breakers: edge.registry.states() } };
  });
  providerRoutes(app, edge);
  batchRoute(app, edge);
  rpcRoutes(app, edge);
  app.use(limited(edge, "UNSPECIFIED"));
  pages(app, resources.docsAsset);
  problemAnswers(app, log);
  return {
    fetch: async (request, address, background = (work) => void work.catch(() => {})) => {
      const connection: Connection = { address: edge.clientAddressOf(address, request.headers), background };
      return app.fetch(request, connection);
    },
    edge,
  };
}
