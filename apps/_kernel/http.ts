import { ConnectError } from "@connectrpc/connect";
import type { Hono } from "hono";
import { fault } from "./fault";
import { errorFields, type Log } from "./log";
import { problemResponse } from "./problem";
import { requestIdOf } from "./rpc/request-id";

/** Whether an app can serve, and what it looked at. */
export interface Readiness {
  ready: boolean;
  checks: object;
}

/** `/livez` and `/readyz`, the same on every app. */
export function healthRoutes(app: Hono, ready: () => Promise<Readiness>): void {
  app.get("/livez", (c) => c.json({ status: "ok" }));
  app.get("/readyz", async (c) => {
    const state = await ready();
    return c.json(
      { status: state.ready ? "ok" : "unavailable", checks: state.checks },
      state.ready ? 200 : 503,
    );
  });
}

/** Answers for paths that nobody serves and for errors outside RPCs, as problem+json. */
export function problemAnswers(app: Hono, log: Log): void {
  app.notFound((c) =>
    problemResponse(
      fault("not_found", "ROUTE_NOT_FOUND", "Nothing is served at this path."),
      requestIdOf(c.req.raw.headers),
    ),
  );
  app.onError((error, c) => {
    const requestId = requestIdOf(c.req.raw.headers);
    if (error instanceof ConnectError) return problemResponse(error, requestId);
    log("error", "unexpected error", { requestId, path: c.req.path, ...errorFields(error) });
    return problemResponse(fault("internal", "INTERNAL", "Something went wrong in the mall."), requestId);
  });
}
