import type { Metrics } from "@mall/kernel/metrics";
import type { Context, MiddlewareHandler } from "hono";
import type { Admit, Kind } from "./admission";
import type { ClientAddressOf } from "./client-address";
import type { Dependencies } from "./dependencies";
import { edgeError } from "./edge-error";
import type { Introduce } from "./introduce";
import type { Background, PublicRead } from "./public-reads";

/** What the routes of the gateway share. */
export interface Edge {
  registry: Dependencies;
  metrics: Metrics;
  publicRead: PublicRead;
  introduce: Introduce;
  admit: Admit;
  clientAddressOf: ClientAddressOf;
}

/** What is known of the connection of a request. */
export interface Connection {
  /** Of the client, behind however many proxies. */
  address?: string;
  /** Goes on with work when the request has been answered. */
  background: Background;
  /** It is a part of a batch. */
  isPart?: boolean;
}

export const connectionOf = (c: Context): Connection => c.env as Connection;

/** Counts requests and refuses those that are too many; every answer tells where its client stands. */
export const limited =
  ({ admit }: Edge, kind: Kind): MiddlewareHandler =>
  async (c, next) => {
    const { refusal, header } = await admit(c.req.raw.headers, connectionOf(c).address, kind);
    if (refusal) c.res = edgeError(c.req.raw, refusal);
    else await next();
    header.forEach((value, name) => void c.res.headers.set(name, value));
  };

/** Counts the answers of a route, and of a public one whether they were kept. */
export const counted =
  ({ metrics }: Edge, route: string, isPublicRead = false): MiddlewareHandler =>
  async (c, next) => {
    await next();
    metrics.count("mall_http_requests_total", { route, method: c.req.method, status: String(c.res.status) });
    if (!isPublicRead || c.req.method !== "GET" || c.res.status >= 400) return;
    const kept = c.res.headers.get("cache-status");
    const result = kept?.includes("stale-if-error") ? "stale" : kept ? "hit" : "miss";
    metrics.count("mall_cache_reads_total", { cache: "public", result });
  };
