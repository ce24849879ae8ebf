import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import { carryOut } from "./carry-out";

/**
 * Takes an unpaid order out of the reach of time and customer; a repetition changes nothing. Faults: ORDER_NOT_FOUND,
 * ORDER_STATE_INVALID, OVERTAKEN by a call with a larger sequence.
 */
export const beginOrderPayment =
  (deps: Deps) =>
  async (orderId: Id<"ord">, sequence: number): Promise<void> => {
    await carryOut(deps, orderId, { verb: "beginPayment", sequence });
  };
