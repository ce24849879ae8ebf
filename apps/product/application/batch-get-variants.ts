import type { Id } from "@mall/kernel/id";
import { findSoldVariants } from "../db/catalogue";
import type { Deps } from "../deps";
import type { SoldVariant } from "../domain/catalogue";

/** Those of the variants that are sold; unknown, withdrawn and unpublished ones are absent. */
export const batchGetVariants =
  (deps: Pick<Deps, "db">) =>
  (ids: readonly Id<"var">[]): Promise<SoldVariant[]> =>
    findSoldVariants(deps.db, ids);
