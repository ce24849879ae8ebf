import { listProducts as selectProducts } from "../db/catalogue";
import type { Deps } from "../deps";
import type { PagePosition, Product, Sort } from "../domain/catalogue";

export interface ListProducts {
  sort: Sort;
  category?: string;
  words: string;
  after?: PagePosition;
  size: number;
}

/** A page of published products, and where the next one starts. */
export const listProducts =
  (deps: Pick<Deps, "db">) =>
  async ({ size, ...query }: ListProducts): Promise<{ products: Product[]; next?: PagePosition }> => {
    const found = await selectProducts(deps.db, { ...query, limit: size + 1 });
    const shown = found.slice(0, size);
    return {
      products: shown.map((f) => f.product),
      next: found.length > size ? shown.at(-1)!.position : undefined,
    };
  };
