import type { Transport } from "@connectrpc/connect";
import { createFetchClient } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import type { EnvSource } from "../env";
import { fault } from "../fault";
import { type ServiceName, serviceNames, services } from "../topology";
import type { Registry, ServiceFetch } from "./port";

const messageBytesMax = 16 * 1024 * 1024;

/** A Connect transport (binary, unary by POST) over a fetch function; runs on Bun and Workers alike. */
export function transportOver(send: ServiceFetch): Transport {
  return createTransport({
    baseUrl: "http://service",
    // workerd refuses the redirect mode "error" that Connect asks for
    httpClient: createFetchClient(((url: string, init: RequestInit) =>
      send(new Request(url, { ...init, redirect: "manual" }))) as typeof fetch),
    useBinaryFormat: true,
    interceptors: [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: Number.MAX_SAFE_INTEGER,
    readMaxBytes: messageBytesMax,
    writeMaxBytes: messageBytesMax,
  });
}

/** A registry over one fetch function a service. */
export function fetchRegistry(fetchOf: (service: ServiceName) => ServiceFetch): Registry {
  const fetches = new Map(serviceNames.map((name) => [name, fetchOf(name)]));
  const transports = new Map(serviceNames.map((name) => [name, transportOver(fetches.get(name)!)]));
  return { transport: (name) => transports.get(name)!, fetch: (name) => fetches.get(name)! };
}

const connectFailures = new Set(["ConnectionRefused", "ECONNREFUSED", "FailedToOpenSocket"]);

/**
 * Round robin over the addresses of one service; when a connection cannot be opened, which means that nothing was
 * sent, the next address is tried. Fault SERVICE_UNAVAILABLE when none answers.
 */
export function roundRobin(service: ServiceName, urls: readonly string[]): ServiceFetch {
  let next = 0;
  return async (request) => {
    const { pathname, search } = new URL(request.url);
    const body = request.body ? await request.arrayBuffer() : undefined;
    for (let attempt = 0; attempt < urls.length; attempt++) {
      const base = urls[next++ % urls.length]!;
      try {
        return await fetch(base + pathname + search, {
          method: request.method,
          headers: request.headers,
          body,
          redirect: "manual",
          signal: request.signal,
        });
      } catch (error) {
        if (!connectFailures.has((error as { code?: string }).code ?? "")) throw error;
      }
    }
    throw fault("unavailable", "SERVICE_UNAVAILABLE", `The ${service} service cannot be reached.`, {
      retryAfterSeconds: 1,
    });
  };
}

/** Static addresses: `<SVC>_URL`, a comma list of origins, else the service's own port on this machine. */
export function staticRegistry(env: EnvSource): Registry {
  return fetchRegistry((service) => {
    const listed = env[`${service.toUpperCase()}_URL`] ?? `http://127.0.0.1:${services[service].port}`;
    return roundRobin(
      service,
      listed.split(",").map((url) => url.trim().replace(/\/$/, "")),
    );
  });
}

interface FetcherBinding {
  fetch(request: Request): Promise<Response>;
}

/** Workers service bindings: `env.CART` and so on. */
export function bindingsRegistry(env: Record<string, unknown>): Registry {
  return fetchRegistry((service) => (request) => {
    const binding = env[service.toUpperCase()] as FetcherBinding | undefined;
    if (!binding) throw new Error(`no service binding ${service.toUpperCase()}`);
    return binding.fetch(request);
  });
}
