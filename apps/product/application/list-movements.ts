import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { listMovementsBefore } from "../db/ledger";
import { findStock } from "../db/stock";
import type { Deps } from "../deps";
import type { Movement } from "../domain/ledger";

/**
 * A page of the ledger of a variant's units on hand, newest first, after the entry `before` of the page before; `next`
 * is where the next page goes on. Fault VARIANT_NOT_FOUND.
 */
export const listMovements =
  (deps: Pick<Deps, "db" | "clock">) =>
  async (
    variantId: Id<"var">,
    before: string | undefined,
    size: number,
  ): Promise<{ movements: Movement[]; next?: string }> => {
    const found = await listMovementsBefore(deps.db, variantId, before, size + 1);
    if (found.length === 0 && !(await findStock(deps.db, variantId, deps.clock()))) throw notFound("VARIANT");
    const movements = found.slice(0, size);
    return { movements, next: found.length > size ? movements.at(-1)!.id : undefined };
  };
