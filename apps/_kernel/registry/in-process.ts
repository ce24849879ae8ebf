import type { Transport } from "@connectrpc/connect";
import type { ServiceName } from "../topology";
import type { Registry, ServiceFetch } from "./port";

/** One service of this process, as its neighbours reach it. */
export interface LocalService {
  fetch: ServiceFetch;
  transport: Transport;
}

/**
 * The registry of one process: calls go straight to the services, through the same interceptors but without HTTP.
 * Services are added after they were built, since each is built with the registry.
 */
export function inProcessRegistry(): Registry & { add(name: ServiceName, service: LocalService): void } {
  const known = new Map<ServiceName, LocalService>();
  const get = (name: ServiceName): LocalService => {
    const service = known.get(name);
    if (!service) throw new Error(`service ${name} is not in this process`);
    return service;
  };
  return {
    add: (name, service) => void known.set(name, service),
    transport: (name) => ({
      unary: (...args) => get(name).transport.unary(...args),
      stream: (...args) => get(name).transport.stream(...args),
    }),
    fetch: (name) => async (request) => get(name).fetch(request),
  };
}
