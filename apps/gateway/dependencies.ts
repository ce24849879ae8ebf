import { asking, type Breaker, type BreakerState, type Watch, watchedBreaker } from "@mall/kernel/breaker";
import { fault } from "@mall/kernel/fault";
import type { Registry } from "@mall/kernel/registry/port";
import { serviceSign } from "@mall/kernel/registry/unreachable";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";

/** The registry with a breaker before each service. */
export interface Dependencies extends Registry {
  states(): Record<ServiceName, BreakerState>;
}

const settings = { failuresMax: 5, pauseMs: 1_000 };

/**
 * Asks a service that failed to answer five times in a row only once a second, until it answers; all others are refused
 * SERVICE_UNAVAILABLE at once instead of waiting for it. An answer of any status is an answer.
 */
export function guardedDependencies(registry: Registry, watch: Watch): Dependencies {
  const breakers = new Map<ServiceName, Breaker>(
    serviceNames.map((service) => [service, watchedBreaker(watch, service, settings)]),
  );

  async function guarded<T>(service: ServiceName, work: () => Promise<T>): Promise<T> {
    const own = breakers.get(service)!;
    if (!own.mayTry()) {
      const message = `The ${service} service does not answer at the moment.`;
      throw fault("unavailable", "SERVICE_UNAVAILABLE", message, { retryAfterSeconds: 1 });
    }
    return asking(own, work, serviceSign);
  }

  return {
    fetch: (service) => (request, sending) =>
      guarded(service, () => registry.fetch(service)(request, sending)),
    transport: (service) => {
      const { unary, stream } = registry.transport(service);
      return { stream, unary: (...args) => guarded(service, () => unary(...args)) };
    },
    states: () =>
      Object.fromEntries([...breakers].map(([service, { state }]) => [service, state])) as Record<
        ServiceName,
        BreakerState
      >,
  };
}
