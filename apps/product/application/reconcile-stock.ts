import type { Id } from "@mall/kernel/id";
import { recountAfter } from "../db/ledger";
import type { Deps } from "../deps";
import { differencesOf, type StockDifference } from "../domain/ledger";

const variantsPerPage = 200;

/**
 * Recomputes the stock of the next tracked variants in the order of their ids from the ledger and the active holds, all
 * at one instant, so that sales under way are no difference.
 */
export const reconcileStock =
  (deps: Pick<Deps, "db">) =>
  async (
    after: Id<"var"> | undefined,
  ): Promise<{ checked: number; differences: StockDifference[]; next?: Id<"var"> }> => {
    const recounts = await recountAfter(deps.db, after, variantsPerPage);
    const next = recounts.length === variantsPerPage ? recounts.at(-1)!.variantId : undefined;
    return { checked: recounts.length, differences: differencesOf(recounts), next };
  };
