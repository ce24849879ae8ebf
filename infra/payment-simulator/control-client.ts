import type {
  Delivery,
  DeliveryCount,
  Held,
  LedgerPage,
  NewRule,
  Redelivery,
  RequestCount,
  Rule,
  WebhookSettings,
} from "./control-contract";
import type { EntryFilter } from "./ledger";
import type { OperationName } from "./operation";

export interface ControlClient {
  addRule(rule: NewRule): Promise<Rule>;
  rules(): Promise<Rule[]>;
  /** Without an id all that were added. */
  clearRules(id?: string): Promise<void>;
  /** With `count` it waits until so many are parked, and throws when they are not in time (default 5000 ms). */
  held(wait?: { count: number; timeoutMs?: number }): Promise<Held[]>;
  release(
    which: ({ id: string } | { all: true }) & { action?: "continue" | "drop" },
  ): Promise<{ released: number }>;
  setWebhooks(changes: Partial<WebhookSettings>): Promise<WebhookSettings>;
  webhooks(): Promise<{ settings: WebhookSettings; deliveries: Delivery[] }>;
  flushWebhooks(): Promise<DeliveryCount>;
  redeliverWebhooks(redelivery: Redelivery): Promise<DeliveryCount>;
  /** `entries: "none"` leaves the entries out, for sums of very many orders. */
  ledger(filter?: EntryFilter & { entries?: "all" | "none" }): Promise<LedgerPage>;
  requests(): Promise<Partial<Record<OperationName, RequestCount>>>;
  settle(id: string, outcome: "succeeded" | "failed"): Promise<{ id: string; status: string }>;
  reset(options?: { keepWebhooks?: boolean }): Promise<void>;
}

const queryOf = (values: Record<string, string | number | undefined>): string => {
  const entries = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return entries.length === 0 ? "" : `?${new URLSearchParams(entries)}`;
};

/** Steers the simulator at a URL. Calls throw when it refuses. */
export function controlClient(url: string): ControlClient {
  async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${url}/control/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`payment simulator: ${method} ${path} is ${response.status}: ${text}`);
    return JSON.parse(text) as T;
  }
  const post = <T>(path: string, body: unknown = {}) => call<T>("POST", path, body);

  return {
    addRule: (rule) => post("rules", rule),
    rules: () => call("GET", "rules"),
    clearRules: async (id) => {
      await call("DELETE", id === undefined ? "rules" : `rules/${id}`);
    },
    held: (wait = undefined) =>
      call("GET", `held${queryOf({ count: wait?.count, timeoutMs: wait?.timeoutMs })}`),
    release: (which) => post("release", which),
    setWebhooks: (changes) => post("webhooks", changes),
    webhooks: () => call("GET", "webhooks"),
    flushWebhooks: () => post("webhooks/flush"),
    redeliverWebhooks: (redelivery) => post("webhooks/redeliver", redelivery),
    ledger: ({ orderId, paymentId, paymentIntent, entries } = {}) =>
      call(
        "GET",
        `ledger${queryOf({ order_id: orderId, payment_id: paymentId, payment_intent: paymentIntent, entries })}`,
      ),
    requests: () => call("GET", "requests"),
    settle: (id, outcome) => post("settle", { id, outcome }),
    reset: async (options = {}) => {
      await post("reset", options);
    },
  };
}
