import { baseEnv } from "@mall/kernel/env";
import { optionalWhole, whole } from "@mall/kernel/env-fields";
import * as z from "zod/mini";

/** Environment of the checkout service. */
export const checkoutEnv = z.extend(baseEnv, {
  UNPAID_ORDER_TTL_SECONDS: whole(
    { min: 1, max: 604_800 },
    1800,
    "Seconds an order may stay unpaid before it is cancelled.",
  ),
  HOLD_TTL_SECONDS: optionalWhole(
    { min: 1, max: 604_800 },
    "Seconds the units of an unpaid order are on hold; as long as the order may stay unpaid when unset.",
  ),
  CHECKOUT_CONCURRENCY: whole(
    { min: 1, max: 10_000 },
    16,
    "Checkouts one instance works on at once; what comes beyond gets 503 OVERLOADED.",
  ),
});
