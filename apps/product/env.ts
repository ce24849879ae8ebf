import { baseEnv } from "@mall/kernel/env";
import { whole } from "@mall/kernel/env-fields";
import * as z from "zod/mini";

/** Environment of the product service. */
export const productEnv = z.extend(baseEnv, {
  HOLD_UNITS_PER_USER: whole(
    { min: 0, max: 1_000_000 },
    500,
    "Units that the unpaid orders of one user may hold together; 0 is no limit.",
  ),
  LOW_STOCK_THRESHOLD: whole(
    { min: 0, max: 1_000_000 },
    5,
    "Available units at which a variant's stock is announced as low.",
  ),
});
