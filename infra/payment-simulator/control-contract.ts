import type { Entry, OrderSum } from "./ledger";
import type { OperationName } from "./operation";

/** A number, or the ends of a range from which the seed chooses. */
export type Range = number | readonly [low: number, high: number];

/**
 * Where in the life of a request a fault strikes. `before`: on the network, nothing happened and the key is free.
 * `during`: the key is taken, nothing executed. `after`: executed and remembered.
 */
export type When = "before" | "during" | "after";

export type Effect =
  | { kind: "delay"; when: When; ms: Range }
  | { kind: "hold"; when: When }
  | { kind: "drop"; when: When }
  /** Executes, then closes the connection in the middle of the answer. */
  | { kind: "reset" }
  | {
      kind: "answer";
      when: When;
      /** 400 to 599. */
      status: number;
      code?: string;
      /** Whether repetitions of the key get this answer too. Default: a 5xx `during` and `after`. */
      remembered?: boolean;
    };

export type OperationPattern =
  | OperationName
  | "payment_intents.*"
  | "refunds.*"
  | "charges.*"
  | "events.*"
  | "*";

export interface NewRule {
  /** Default: everything. */
  operation?: OperationPattern | readonly OperationPattern[];
  /** Of the intent or refund that a request is about. */
  metadata?: Record<string, string>;
  /** Of the request. */
  token?: string;
  /** Matches to let pass first. */
  skip?: number;
  /** How often it fires at most. Default: always. */
  times?: number;
  /** Chance of each match, by the seed. Default 1. */
  probability?: number;
  /** Fires at most once for each idempotency key. */
  oncePerKey?: boolean;
  effect: Effect;
}

export interface Rule extends NewRule {
  id: string;
  /** Requests that it was made for. */
  matched: number;
  /** Requests that it struck. */
  fired: number;
}

/** A request that is parked. */
export interface Held {
  id: string;
  /** Id of the rule that holds it. */
  rule: string;
  when: When;
  operation: OperationName;
  paymentIntent: string | null;
  metadata: Record<string, string>;
  idempotencyKey: string | null;
}

export interface WebhookEndpoint {
  url: string;
  secret: string;
  /** Types of events, such as payment_intent.succeeded. Default: all. */
  events?: readonly string[];
}

export interface WebhookSettings {
  endpoints: readonly WebhookEndpoint[];
  timing: "before" | "after" | "never";
  /** Deliveries of each event to each endpoint. */
  copies: number;
  delayMs: Range;
  /** Deliveries that are gathered before they are sent one by one in seeded order; 0: none. */
  shuffle: number;
  retry: { firstMs: number; attemptsMax: number };
}

export interface Delivery {
  id: string;
  /** Id of the event. */
  event: string;
  type: string;
  url: string;
  state: "waiting" | "delivered" | "failed" | "suppressed";
  attempts: number;
  /** HTTP status of the last attempt, 0 when there was no answer, null before the first. */
  lastStatus: number | null;
}

export interface Redelivery {
  events?: readonly string[];
  paymentIntent?: string;
  all?: boolean;
  copies?: number;
  /** One by one in seeded order instead of oldest first. */
  shuffle?: boolean;
  /** Signs with this secret instead of the endpoint's. */
  secret?: string;
  /** Dates the signature so long ago. */
  signedSecondsAgo?: number;
}

export interface DeliveryCount {
  delivered: number;
  failed: number;
}

export interface RequestCount {
  received: number;
  executed: number;
  replayed: number;
  /** Struck by at least one rule. */
  faulted: number;
}

export interface LedgerPage {
  entries: Entry[];
  sums: OrderSum[];
}
