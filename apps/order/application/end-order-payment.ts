import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import { carryOut } from "./carry-out";

/**
 * Lets an order wait for its customer again, also when the begin it ends has not arrived yet; a repetition changes
 * nothing. Faults: ORDER_NOT_FOUND, ORDER_STATE_INVALID unless it is unpaid, OVERTAKEN by a call with a larger sequence.
 */
export const endOrderPayment =
  (deps: Deps) =>
  async (orderId: Id<"ord">, expiresAt: Date, sequence: number): Promise<void> => {
    await carryOut(deps, orderId, { verb: "endPayment", expiresAt, sequence });
  };
