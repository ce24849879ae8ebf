import type { Draft } from "./draft";
import type { Form } from "./form";

/** What one can ask of Stripe's side; faults are matched by these names. */
export const operationNames = [
  "payment_intents.create",
  "payment_intents.retrieve",
  "payment_intents.confirm",
  "payment_intents.capture",
  "payment_intents.cancel",
  "payment_intents.list",
  "payment_intents.search",
  "refunds.create",
  "refunds.retrieve",
  "refunds.list",
  "charges.retrieve",
  "charges.list",
  "events.retrieve",
  "events.list",
] as const;
export type OperationName = (typeof operationNames)[number];

/** A status and the object of the answer. */
export interface Answer {
  status: number;
  body: unknown;
}

/** An operation whose parameters were found good: running it is what a key remembers, refusals too. */
export type Execution = (draft: Draft) => Answer;

/** Reads the parameters of an operation; throws an ApiError that no key remembers. `id` is that of the path, or empty. */
export type Operation = (form: Form, id: string) => Execution;

export const ok = (body: unknown): Answer => ({ status: 200, body });
