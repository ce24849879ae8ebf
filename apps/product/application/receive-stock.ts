import type { Id } from "@mall/kernel/id";
import type { Answer, Ticket } from "@mall/kernel/rpc/idempotency";
import type { Deps } from "../deps";
import type { Stock } from "../domain/stock";
import { change, keyed } from "./adjust-stock";

/** Adds units that arrived. Faults: VARIANT_NOT_FOUND, VARIANT_NOT_TRACKED. */
export const receiveStock =
  (deps: Deps) =>
  (
    input: { variantId: Id<"var">; quantity: number; note: string },
    ticket: Ticket,
    answer: (stock: Stock) => Answer,
  ): Promise<Stock> => {
    const { variantId, quantity: delta, note } = input;
    return keyed(deps, ticket, (tx) => change(deps, tx, { variantId, delta, note }, "receive"), answer);
  };
