import type { Transport } from "@connectrpc/connect";
import { createFetchClient } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { isRepeatable } from "../rpc/policy";
import { type ServiceName, serviceNames } from "../topology";
import type { Registry, ServiceFetch } from "./port";

const messageBytesMax = 16 * 1024 * 1024;

function transportOf(send: (request: Request) => Promise<Response>): Transport {
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

/**
 * A Connect transport (binary, unary by POST) over a fetch function; runs on Bun and Workers alike. It tells the fetch
 * which calls the contract allows to repeat.
 */
export function transportOver(send: ServiceFetch): Transport {
  const once = transportOf((request) => send(request));
  const repeatable = transportOf((request) => send(request, { isRepeatable: true }));
  return {
    unary: (method, ...rest) => (isRepeatable(method) ? repeatable : once).unary(method, ...rest),
    stream: once.stream,
  };
}

/** A registry over one fetch function a service. */
export function fetchRegistry(fetchOf: (service: ServiceName) => ServiceFetch): Registry {
  const fetches = new Map(serviceNames.map((name) => [name, fetchOf(name)]));
  const transports = new Map(serviceNames.map((name) => [name, transportOver(fetches.get(name)!)]));
  return { transport: (name) => transports.get(name)!, fetch: (name) => fetches.get(name)! };
}
