import { serviceNames } from "@mall/kernel/topology";
import type { Hono } from "hono";
import { type Edge, limited } from "./edge";
import { forward } from "./forward";

const webhookBytesMax = 256 * 1024;

/** A report of QStash about a failed event holds the event and the answer to it in base64. */
const eventBytesMax = 4 * 1024 * 1024;

/**
 * Where QStash and payment providers deliver: passed on raw and unread, for the signature is over the bytes and the
 * service checks it. Services that have no events or providers leave the path unserved.
 */
export function providerRoutes(app: Hono, edge: Edge): void {
  const { registry } = edge;
  for (const path of ["/_events/:service", "/_events/:service/failed"]) {
    app.post(path, limited(edge, "provider"), (c, next) => {
      const service = serviceNames.find((name) => name === c.req.param("service"));
      return service ? forward(registry, service, c.req.raw, { bodyBytesMax: eventBytesMax }) : next();
    });
  }
  app.post("/webhooks/payments/:provider", limited(edge, "provider"), (c) =>
    forward(registry, "payment", c.req.raw, { bodyBytesMax: webhookBytesMax }),
  );
}
