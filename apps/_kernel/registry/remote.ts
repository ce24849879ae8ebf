import { turnstile } from "../concurrency";
import type { ServiceName } from "../topology";
import { type Attempts, sender } from "./attempts";
import { balancer, ejection } from "./balancer";
import type { Dial, Discovery, Instance, Outgoing, Registry, ServiceFetch } from "./port";
import { fetchRegistry } from "./transport";
import { overloaded } from "./unreachable";

/** What a registry of many processes is made of: which instances there are, and how to talk to one. */
export interface RemoteOptions {
  discovery: Discovery;
  dial: Dial;
  /** Most requests of this process that may wait for one service. */
  inFlightMax?: number;
  /** Hears of every attempt; for counting. */
  onAttempt?: Attempts["onAttempt"];
  /** Hears of every instance that is put out. */
  onEject?(service: ServiceName): void;
}

const inFlightMaxDefault = 128;

async function outgoing(request: Request): Promise<Outgoing> {
  const { pathname, search } = new URL(request.url);
  const { method, headers, signal } = request;
  const body = request.body ? await request.arrayBuffer() : undefined;
  return { method, path: pathname + search, headers, body, signal };
}

const probeOver =
  (dial: Dial, service: ServiceName) =>
  async (instance: Instance): Promise<void> => {
    const signal = AbortSignal.timeout(ejection.probeMs);
    const request = { method: "GET", path: "/readyz", headers: new Headers(), signal };
    const { ok } = await dial(instance, request, service);
    if (!ok) throw new Error(`${instance.url} is not ready`);
  };

/**
 * The registry of a process among others. Each request goes to one instance of its service, to the next one when it
 * could not be sent, and to a second one when the contract allows that and the first is slow or broke off. Faults
 * besides the services' own: SERVICE_UNAVAILABLE when no instance takes it, OVERLOADED when too many wait for this
 * service already, so that one that hangs does not take all of this process.
 */
export function remoteRegistry({
  discovery,
  dial,
  inFlightMax,
  onAttempt,
  onEject,
}: RemoteOptions): Registry {
  return fetchRegistry((service): ServiceFetch => {
    const bulkhead = turnstile(inFlightMax ?? inFlightMaxDefault, {
      waitingMax: 0,
      refuse: () => overloaded(service),
    });
    const instances = () => discovery.instances(service);
    const send = sender({
      service,
      balancer: balancer({ instances, probe: probeOver(dial, service), onEject: () => onEject?.(service) }),
      dial,
      onAttempt,
    });
    return (request, sending) =>
      bulkhead(async () => send(await outgoing(request), sending?.isRepeatable ?? false));
  });
}
