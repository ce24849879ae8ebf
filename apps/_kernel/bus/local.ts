import { eachBounded, within } from "../concurrency";
import { eventScope, type ServiceTokens } from "../identity/service-token";
import type { Registry } from "../registry/port";
import type { Delivery, EventBus, Failure } from "./port";

/** A batch of 50 that nobody answers is over after twice the time limit, well within the relay's lease. */
const atOnce = 25;
const timeoutMsDefault = 6_000;

const awayStatus: readonly number[] = [408, 425, 429, 502, 503, 504];

/**
 * The bus without a broker: POSTs each CloudEvent to `/events` of its consumer through the registry, with a service
 * token, up to 25 at once. Attempts, backoff and dead letters are the relay's.
 */
export function localBus(
  registry: Registry,
  tokens: ServiceTokens,
  timeoutMs: number = timeoutMsDefault,
): EventBus {
  const send = async ({ consumer, event }: Delivery): Promise<{ status: number; text: string }> => {
    const request = new Request(`http://${consumer}/events`, {
      method: "POST",
      headers: {
        "content-type": "application/cloudevents+json",
        "x-service-token": await tokens.tokenFor(consumer, eventScope),
      },
      body: JSON.stringify(event),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const response = await registry.fetch(consumer)(request);
    if (!response.ok) return { status: response.status, text: (await response.text()).slice(0, 300) };
    await response.body?.cancel();
    return { status: response.status, text: "" };
  };
  const deliver = async (delivery: Delivery): Promise<Failure | undefined> => {
    const { consumer, event } = delivery;
    try {
      // a consumer in this process does not look at the signal
      const { status, text } = await within(timeoutMs, `${consumer} with ${event.type}`, send(delivery));
      if (status < 300) return undefined;
      const error = new Error(`${consumer} answered ${status} to ${event.type}: ${text}`);
      return { delivery, error, kind: status === 400 ? "malformed" : awayOrRefused(status) };
    } catch (error) {
      return { delivery, error, kind: "away" };
    }
  };
  return {
    isDirect: true,
    canDelay: false,
    async publish(deliveries) {
      const failures: Failure[] = [];
      await eachBounded(deliveries, atOnce, async (delivery) => {
        const failure = await deliver(delivery);
        if (failure) failures.push(failure);
      });
      return failures;
    },
  };
}

const awayOrRefused = (status: number): Failure["kind"] => (awayStatus.includes(status) ? "away" : "refused");
