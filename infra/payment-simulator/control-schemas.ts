import * as z from "zod";
import type { NewRule, Redelivery, WebhookSettings } from "./control-contract";
import { operationNames } from "./operation";

const groups = ["payment_intents.*", "refunds.*", "charges.*", "events.*", "*"] as const;
const pattern = z.enum([...operationNames, ...groups]);
const count = z.int().min(0);
const range = z.union([
  count,
  z
    .tuple([count, count])
    .readonly()
    .refine(([low, high]) => low <= high),
]);
const when = z.enum(["before", "during", "after"]);

const answer = z
  .strictObject({
    kind: z.literal("answer"),
    when,
    status: z.int().min(400).max(599),
    code: z.string().optional(),
    remembered: z.boolean().optional(),
  })
  .refine(
    ({ when: at, remembered }) => at !== "before" || !remembered,
    "what is before the key cannot be remembered",
  );

export const newRule: z.ZodType<NewRule> = z.strictObject({
  operation: z.union([pattern, z.array(pattern).min(1).readonly()]).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  token: z.string().optional(),
  skip: count.optional(),
  times: z.int().min(1).optional(),
  probability: z.number().min(0).max(1).optional(),
  oncePerKey: z.boolean().optional(),
  effect: z.union([
    z.strictObject({ kind: z.literal("delay"), when, ms: range }),
    z.strictObject({ kind: z.enum(["hold", "drop"]), when }),
    z.strictObject({ kind: z.literal("reset") }),
    answer,
  ]),
});

const action = z.enum(["continue", "drop"]).default("continue");
export const release = z.union([
  z.strictObject({ id: z.string(), action }),
  z.strictObject({ all: z.literal(true), action }),
]);

export const webhookChanges: z.ZodType<Partial<WebhookSettings>> = z
  .strictObject({
    endpoints: z
      .array(
        z.strictObject({ url: z.url(), secret: z.string().min(1), events: z.array(z.string()).optional() }),
      )
      .readonly(),
    timing: z.enum(["before", "after", "never"]),
    copies: z.int().min(1).max(100),
    delayMs: range,
    shuffle: count,
    retry: z.strictObject({ firstMs: z.int().min(1), attemptsMax: z.int().min(1) }),
  })
  .partial();

export const redelivery: z.ZodType<Redelivery> = z.strictObject({
  events: z.array(z.string()).optional(),
  paymentIntent: z.string().optional(),
  all: z.boolean().optional(),
  copies: z.int().min(1).max(100).optional(),
  shuffle: z.boolean().optional(),
  secret: z.string().optional(),
  signedSecondsAgo: z.int().optional(),
});

export const settlement = z.strictObject({ id: z.string(), outcome: z.enum(["succeeded", "failed"]) });
export const reset = z.strictObject({ keepWebhooks: z.boolean().default(false) });
export const heldQuery = z.strictObject({
  count: z.coerce.number().int().min(1).optional(),
  timeoutMs: z.coerce.number().int().min(0).max(60_000).default(5000),
});
export const ledgerQuery = z.strictObject({
  order_id: z.string().optional(),
  payment_id: z.string().optional(),
  payment_intent: z.string().optional(),
  entries: z.enum(["all", "none"]).default("all"),
});
