import type { Transport } from "@connectrpc/connect";
import type { ServiceName } from "../topology";

/** Sends a request to a service. */
export type ServiceFetch = (request: Request) => Promise<Response>;

/** Finds services: (service) → a transport for generated clients, and a fetch for whole requests. */
export interface Registry {
  transport(service: ServiceName): Transport;
  fetch(service: ServiceName): ServiceFetch;
}
