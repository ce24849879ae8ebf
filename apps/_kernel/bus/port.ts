import type { CloudEvent } from "./outbox";

/** Carries published events to their consumers, at least once. */
export interface EventBus {
  /** Delivers one event to every subscriber; rejects when one of them did not take it. */
  publish(event: CloudEvent): Promise<void>;
}
