import { type EnvSource, incompleteEnv } from "../env";
import { type ServiceName, serviceNames, services } from "../topology";
import { fetchDial } from "./dial";
import type { Discovery, Instance, Registry } from "./port";
import { remoteRegistry } from "./remote";
import { isSecure, secureOnly } from "./secure";

/** The service's own port on this machine. */
const ownOrigin = (service: ServiceName, isMutual: boolean): string =>
  isMutual
    ? `https://127.0.0.1:${services[service].port + 1000}`
    : `http://127.0.0.1:${services[service].port}`;

function listed(env: EnvSource, service: ServiceName): Instance[] {
  const name = `${service.toUpperCase()}_URL`;
  const isMutual = Boolean(env.TLS_CERT);
  const urls = (env[name] ?? ownOrigin(service, isMutual))
    .split(",")
    .map((url) => url.trim().replace(/\/$/, ""));
  if (isMutual && !urls.every(isSecure)) throw incompleteEnv([`${name}: ${secureOnly}`]);
  return urls.map((url) => ({ id: url, url }));
}

/**
 * Static addresses: `<SVC>_URL`, a comma list of origins, else the service's own port on this machine. Throws Error with
 * a sentence when one of them is in the clear although mutual TLS is on.
 */
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
