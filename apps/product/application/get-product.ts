import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findProduct } from "../db/catalogue";
import type { Deps } from "../deps";
import type { Product } from "../domain/catalogue";

/** A published product. Fault PRODUCT_NOT_FOUND. */
export const getProduct =
  (deps: Pick<Deps, "db">) =>
  async (id: Id<"prod">): Promise<Product> => {
    const product = await findProduct(deps.db, id);
    if (!product) throw notFound("PRODUCT");
    return product;
  };
