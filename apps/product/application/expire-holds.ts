import { listDueHolds } from "../db/holds";
import type { Deps } from "../deps";
import { endDueHolds, lockStock } from "./lock-stock";

const holdsPerBatch = 100;
const batchesMax = 50;

/**
 * Gives the units of due holds back, 5,000 holds at most, so that the catalogue's figures follow; decisions do not
 * wait for it.
 */
export const expireHolds = (deps: Pick<Deps, "db" | "clock" | "announce">) => async (): Promise<void> => {
  for (let batch = 0; batch < batchesMax; batch++) {
    const now = deps.clock();
    const { holdIds, variantIds } = await listDueHolds(deps.db, now, holdsPerBatch);
    if (holdIds.length === 0) return;
    await deps.db.tx(async (tx) => {
      await lockStock(deps, tx, variantIds, now);
      await endDueHolds(deps, tx, holdIds, now); // those without a tracked line
    });
    if (holdIds.length < holdsPerBatch) return;
  }
};
