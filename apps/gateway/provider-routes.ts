import { eventPath, failurePath, sweepsPath } from "@mall/kernel/bus/paths";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import type { Hono } from "hono";
import { type Edge, limited } from "./edge";
import { forward } from "./forward";
import { receivedBody } from "./request-limits";

const webhookBytesMax = 256 * 1024;

/** A report of QStash about a failed event holds the event and the answer to it in base64. */
const eventBytesMax = 4 * 1024 * 1024;

/** A schedule's message has no body. */
const sweepBytesMax = 1024;

/** Asks every service, once the first has found that it is QStash who asks. */
async function sweepAll({ registry }: Edge, request: Request): Promise<Response> {
  const body = await receivedBody(request, sweepBytesMax);
  const { url, method, headers, signal } = request;
  const ask = (service: ServiceName) =>
    forward(registry, service, new Request(url, { method, headers, signal, body }), {
      bodyBytesMax: sweepBytesMax,
    });
  const [first, ...others] = serviceNames;
  const judged = await ask(first!);
  if (judged.status < 500 && !judged.ok) return judged;
  const answers = [judged, ...(await Promise.all(others.map(ask)))];
  return answers.find(({ ok }) => !ok) ?? judged;
}

/**
 * Where QStash and payment providers deliver: passed on raw and unread, for the signature is over the bytes and the
 * service checks it. Services that have no events or providers leave the path unserved.
 */
export function providerRoutes(app: Hono, edge: Edge): void {
  const { registry } = edge;
  for (const path of [eventPath(":service"), failurePath(":service")]) {
    app.post(path, limited(edge, "provider"), (c, next) => {
      const service = serviceNames.find((name) => name === c.req.param("service"));
      return service ? forward(registry, service, c.req.raw, { bodyBytesMax: eventBytesMax }) : next();
    });
  }
  app.post(sweepsPath, limited(edge, "provider"), (c) => sweepAll(edge, c.req.raw));
  app.post("/webhooks/payments/:provider", limited(edge, "provider"), (c) =>
    forward(registry, "payment", c.req.raw, { bodyBytesMax: webhookBytesMax }),
  );
}
