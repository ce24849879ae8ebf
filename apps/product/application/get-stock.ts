import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findStock } from "../db/stock";
import type { Deps } from "../deps";
import type { Stock } from "../domain/stock";

/** The exact stock of a variant. Fault VARIANT_NOT_FOUND. */
export const getStock =
  (deps: Pick<Deps, "db" | "clock">) =>
  async (variantId: Id<"var">): Promise<Stock> => {
    const stock = await findStock(deps.db, variantId, deps.clock());
    if (!stock) throw notFound("VARIANT");
    return stock;
  };
