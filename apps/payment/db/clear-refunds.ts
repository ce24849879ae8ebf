import type { ClearTable } from "@mall/kernel/personal/clear-rows";
import { payerOf } from "./refunds";

/** Refunds from before the words of staff were sealed. */
export const clearRefunds: ClearTable = {
  table: "refunds",
  subject: payerOf,
  value: "jsonb_build_object('reason', reason)",
  cleared: "reason = ''",
};
