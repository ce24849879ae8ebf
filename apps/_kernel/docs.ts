import type { Hono } from "hono";
export function docsRoutes(app: Hono, _asset: (name: string) => Promise<Response | undefined>): void {
  app.get("/docs", (c) => c.text("docs"));
}
