import { methodNotAllowed } from "@mall/kernel/problem";
import type { ServiceName } from "@mall/kernel/topology";
import type { Context, Hono } from "hono";
import { connectionOf, counted, type Edge, limited } from "./edge";
import { edgeError } from "./edge-error";
import { forward } from "./forward";
import { routes } from "./routes";

/** Every public RPC by its paths, sent on with an introduction of its client, and auth's public keys. */
export function rpcRoutes(app: Hono, edge: Edge): void {
  const { registry, introduce, publicRead } = edge;
  const patterns = new Map<string, { service: ServiceName; bodyBytesMax: number }>();
  for (const { service, rpcPath, rest, bodyBytesMax, isRepeatable, isPublicRead, rateClass } of routes) {
    const send = async (request: Request, address: string | undefined) => {
      const own = await introduce(service, request.headers, address);
      return forward(registry, service, request, { bodyBytesMax, isRepeatable, own });
    };
    const answer = (c: Context) => {
      const { raw } = c.req;
      const { address, background } = connectionOf(c);
      if (!isPublicRead || raw.method !== "GET") return send(raw, address);
      // whoever asks first asks for others too, so the service is not told who it is
      return publicRead(raw, (request) => send(request, undefined), background);
    };
    app.on(["GET", "POST"], rpcPath, counted(edge, rpcPath, isPublicRead), limited(edge, rateClass), answer);
    if (!rest) continue;
    app.on(
      rest.verb,
      rest.pattern,
      counted(edge, rest.pattern, isPublicRead),
      limited(edge, rateClass),
      answer,
    );
    patterns.set(rest.pattern, { service, bodyBytesMax });
  }
  const other = limited(edge, "UNSPECIFIED");
  // the owning service names the verbs that exist
  for (const [pattern, { service, bodyBytesMax }] of patterns) {
    app.all(pattern, other, (c) => forward(registry, service, c.req.raw, { bodyBytesMax }));
  }
  app.get("/.well-known/jwks.json", other, (c) =>
    forward(registry, "auth", c.req.raw, { bodyBytesMax: 0, isRepeatable: true }),
  );
  app.all("/.well-known/jwks.json", other, (c) =>
    edgeError(c.req.raw, methodNotAllowed(c.req.method, ["GET"])),
  );
}
