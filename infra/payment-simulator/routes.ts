import { cancelIntent } from "./cancel-intent";
import { captureIntent } from "./capture-intent";
import { confirmIntent } from "./confirm-intent";
import { createIntent } from "./create-intent";
import { createRefund } from "./create-refund";
import { listing, ofPayment, ofType, retrieval } from "./listing";
import type { Kind } from "./objects";
import type { Operation, OperationName } from "./operation";
import { searchIntents } from "./search";

/** What a path asks for. */
export interface Route {
  name: OperationName;
  operation: Operation;
  /** Of the object in the path, or empty. */
  id: string;
  /** Kind of that object. */
  kind: Kind | undefined;
}

type Entry = readonly [name: OperationName, method: "GET" | "POST", path: string, Operation, Kind?];

const entries: readonly Entry[] = [
  ["payment_intents.create", "POST", "/v1/payment_intents", createIntent],
  [
    "payment_intents.list",
    "GET",
    "/v1/payment_intents",
    listing("payment_intent", "/v1/payment_intents", [], () => () => true),
  ],
  ["payment_intents.search", "GET", "/v1/payment_intents/search", searchIntents],
  [
    "payment_intents.retrieve",
    "GET",
    "/v1/payment_intents/:id",
    retrieval("payment_intent"),
    "payment_intent",
  ],
  ["payment_intents.confirm", "POST", "/v1/payment_intents/:id/confirm", confirmIntent, "payment_intent"],
  ["payment_intents.capture", "POST", "/v1/payment_intents/:id/capture", captureIntent, "payment_intent"],
  ["payment_intents.cancel", "POST", "/v1/payment_intents/:id/cancel", cancelIntent, "payment_intent"],
  ["refunds.create", "POST", "/v1/refunds", createRefund],
  [
    "refunds.list",
    "GET",
    "/v1/refunds",
    listing("refund", "/v1/refunds", ["payment_intent", "charge"], ofPayment),
  ],
  ["refunds.retrieve", "GET", "/v1/refunds/:id", retrieval("refund"), "refund"],
  ["charges.list", "GET", "/v1/charges", listing("charge", "/v1/charges", ["payment_intent"], ofPayment)],
  ["charges.retrieve", "GET", "/v1/charges/:id", retrieval("charge"), "charge"],
  ["events.list", "GET", "/v1/events", listing("event", "/v1/events", ["type", "types"], ofType)],
  ["events.retrieve", "GET", "/v1/events/:id", retrieval("event"), "event"],
];

const forms = entries.map(([name, method, path, operation, kind]) => ({
  method,
  form: new RegExp(`^${path.replace(":id", "([^/]+)")}$`),
  route: { name, operation, kind },
}));

/** The first route that matches; undefined for what Stripe has and this has not. */
export function routeOf(method: string, path: string): Route | undefined {
  for (const { method: asked, form, route } of forms) {
    const match = asked === method ? form.exec(path) : null;
    if (match) return { ...route, id: decodeURIComponent(match[1] ?? "") };
  }
  return undefined;
}
