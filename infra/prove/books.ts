import { uuidOf } from "@mall/kernel/id";
import type { Cluster } from "./cluster";
import { must } from "./proof";

/** What the services' books say about all attempts to buy one cart. */
export interface Books {
  /** Checkouts that completed. */
  completed: number;
  /** Orders that were paid. */
  orders: number;
  /** Holds that were sold. */
  holds: number;
  /** Payments that the provider captured, and how much of them it keeps. */
  captures: number;
  kept: bigint;
}

/** Reads the books of a cart, the provider's included. */
export async function booksOf({ sql, provider }: Cluster, cartId: string): Promise<Books> {
  const checkouts = await sql<{ state: string; paid: boolean; hold: string | null; order_id: string }[]>`
    select c.state, o.paid_at is not null as paid, h.state as hold, c.order_id
    from checkout.checkouts c left join "order".orders o on o.id = c.order_id
      left join product.holds h on h.checkout_id = c.id
    where c.cart_id = ${uuidOf(cartId)}`;
  const payments = await sql<{ id: string }[]>`
    select p.id from payment.payments p join checkout.checkouts c on c.order_id = p.order_id
    where c.cart_id = ${uuidOf(cartId)}`;
  const entries = await provider.ledger(
    sql,
    payments.map(({ id }) => id),
  );
  return {
    completed: checkouts.filter(({ state }) => state === "COMPLETED").length,
    orders: checkouts.filter(({ paid }) => paid).length,
    holds: checkouts.filter(({ hold }) => hold === "claimed").length,
    captures: entries.reduce((sum, { captures }) => sum + captures, 0),
    kept: entries.reduce((sum, { captured, refunded }) => sum + captured - refunded, 0n),
  };
}

/** One order, one sold hold, one capture. */
export async function mustBeBoughtOnce(cluster: Cluster, cartId: string, what: string): Promise<void> {
  const books = await booksOf(cluster, cartId);
  const once = books.completed === 1 && books.orders === 1 && books.holds === 1 && books.captures === 1;
  must(once, () => `${what}: the books of ${cartId} are ${Bun.inspect(books)}`);
}
