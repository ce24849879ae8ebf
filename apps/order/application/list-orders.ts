import type { Id } from "@mall/kernel/id";
import { idOf } from "@mall/kernel/id";
import { listOrders as selectOrders } from "../db/orders";
import type { Deps } from "../deps";
import { asOf } from "../domain/decide";
import type { Order } from "../domain/order";

const newestPossible = idOf("ord", "ffffffff-ffff-ffff-ffff-ffffffffffff");

/** A page of a user's orders, newest first, and the id the next page starts after. */
export const listOrders =
  (deps: Deps) =>
  async (
    userId: Id<"usr">,
    page: { size: number; after?: Id<"ord"> },
  ): Promise<{ orders: Order[]; next?: Id<"ord"> }> => {
    const orders = await selectOrders(
      deps.db,
      deps.people,
      userId,
      page.after ?? newestPossible,
      page.size + 1,
    );
    const now = deps.clock();
    const shown = orders.slice(0, page.size).map((order) => asOf(order, now));
    return { orders: shown, next: orders.length > page.size ? shown.at(-1)!.id : undefined };
  };
