import type { EnvSource } from "../env";
import { type ServiceName, serviceNames, services } from "../topology";
import { fetchDial } from "./dial";
import type { Discovery, Instance, Registry } from "./port";
import { remoteRegistry } from "./remote";

const listed = (env: EnvSource, service: ServiceName): Instance[] =>
  (env[`${service.toUpperCase()}_URL`] ?? `http://127.0.0.1:${services[service].port}`)
    .split(",")
    .map((url) => url.trim().replace(/\/$/, ""))
    .map((url) => ({ id: url, url }));

/** Static addresses: `<SVC>_URL`, a comma list of origins, else the service's own port on this machine. */
export function staticDiscovery(env: EnvSource): Discovery {
  const instances = new Map(serviceNames.map((service) => [service, listed(env, service)]));
  return {
    instances: (service) => instances.get(service)!,
    isKnowing: () => true,
    announce: async () => {},
    withdraw: async () => {},
    close: () => {},
  };
}

/** A registry of static addresses with the limits that hold without settings. */
export const staticRegistry = (env: EnvSource): Registry =>
  remoteRegistry({ discovery: staticDiscovery(env), dial: fetchDial });
