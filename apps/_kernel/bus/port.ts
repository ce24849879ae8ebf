import type { ServiceName } from "../topology";
import type { CloudEvent } from "./outbox";

/** One event on its way to one consumer. */
export interface Delivery {
  consumer: ServiceName;
  event: CloudEvent;
  /** Nobody may see it before; only drivers that can delay are given such a delivery early. */
  notBefore?: Date;
}

/** A delivery that was not taken. */
export interface Failure {
  delivery: Delivery;
  error: unknown;
  /**
   * away: nobody was there to take it, which says nothing about the event. refused: it was looked at and not taken.
   * malformed: it will never be taken.
   */
  kind: "away" | "refused" | "malformed";
}

/** What a message is handed to where it arrives. */
export interface Inbox {
  /** Handles one event; rejects when it has to come again. */
  handle(event: unknown): Promise<void>;
  /** Keeps a message that nobody could handle: the event, or whatever came instead of one. */
  bury(message: unknown, error: string): Promise<void>;
}

/** Carries events to their consumers, at least once. */
export interface EventBus {
  /**
   * Whether publishing waits for the consumer itself. The events of each consumer are then published apart, so that a
   * slow one holds up nobody else.
   */
  readonly isDirect: boolean;
  /** Whether it keeps a delivery until `notBefore`; else it is not given one earlier. */
  readonly canDelay: boolean;
  /** Delivers, or hands over to a broker that will. Resolves to what failed; rejects when all did, for want of a broker. */
  publish(deliveries: readonly Delivery[]): Promise<Failure[]>;
  /** Begins to bring messages for a service, where that needs more than an HTTP route. */
  listen?(service: ServiceName, inbox: Inbox): Promise<void>;
  /** Stops listening, waits for what is being handled, and closes connections. A second time it does nothing. */
  close?(): Promise<void>;
}
