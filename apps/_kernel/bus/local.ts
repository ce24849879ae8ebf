import type { ServiceTokens } from "../identity/service-token";
import type { Registry } from "../registry/port";
import { subscriptions } from "../topology";
import type { EventBus } from "./port";

/**
 * The bus without a broker: POSTs the CloudEvent to `/events` of each subscriber through the registry, with a service
 * token. Attempts, backoff and dead letters are the relay's.
 */
export function localBus(registry: Registry, tokens: ServiceTokens): EventBus {
  return {
    async publish(event) {
      for (const consumer of subscriptions[event.type] ?? []) {
        const request = new Request(`http://${consumer}/events`, {
          method: "POST",
          headers: {
            "content-type": "application/cloudevents+json",
            "x-service-token": await tokens.tokenFor(consumer),
          },
          body: JSON.stringify(event),
          signal: AbortSignal.timeout(10_000),
        });
        const response = await registry.fetch(consumer)(request);
        await response.body?.cancel();
        if (!response.ok) throw new Error(`${consumer} answered ${response.status} to ${event.type}`);
      }
    },
  };
}
