import type { Deps } from "../deps";
import { expireOrders } from "./expire-orders";
import { undoDue } from "./undo";

/** Writes down which unpaid orders have expired, and sends back what cancelled ones still owe. */
export const sweep = (deps: Deps) => async (): Promise<void> => {
  await Promise.all([expireOrders(deps), undoDue(deps)]);
};
