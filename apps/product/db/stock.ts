import type { Session, Tx } from "@mall/kernel/db/client";
import { type Params, sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf, uuidv7 } from "@mall/kernel/id";
import { type SQL, sql } from "drizzle-orm";
import type { Stock } from "../domain/stock";

/** A row of stock, with whether the variant is sold. */
export interface StockRow {
  variant_id: string;
  tracked: boolean;
  sold: boolean;
  on_hand: number;
  reserved: number;
  version: number;
}

export const rowToStock = (row: StockRow): Stock => ({
  variantId: idOf("var", row.variant_id),
  trackInventory: row.tracked,
  sold: row.sold,
  onHand: row.on_hand,
  reserved: row.reserved,
  version: row.version,
});

/** Ids as one parameter, and that parameter as an array. */
export const uuids = (ids: readonly string[]) => ids.map(uuidOf).join(",");
export const listOf = (ids: SQL) => sql`string_to_array(${ids}, ',')::uuid[]`;

/** Columns of a stock row `s`. */
export const isSold = sql`exists (select from product.variants v join product.products p on p.id = v.product_id
  where v.id = s.variant_id and v.sold and p.status = 'published') as sold`;

/** Whether a hold `h` came to its end. */
export const isDue = (p: Params<{ now: Date }>) =>
  sql`h.state = 'active' and h.expires_at <= ${p.now}::timestamptz`;

// Every look at due holds starts from those, which are few, and never from all lines that a variant ever had.
const dueQuantity = (p: Params<{ now: Date }>) => sql`(select coalesce(sum((
    select l.quantity from product.hold_lines l where l.hold_id = h.id and l.variant_id = s.variant_id)), 0)::int
  from product.holds h where ${isDue(p)})`;

const selectStock = sqlStatement<{ id: string; now: Date }, StockRow>(
  (
    p,
  ) => sql`select s.variant_id, s.tracked, ${isSold}, s.on_hand, s.reserved - ${dueQuantity(p)} as reserved, s.version
    from product.stock s where s.variant_id = ${p.id}`,
);

/** The stock of a variant; holds that are due no longer count. */
export async function findStock(session: Session, id: Id<"var">, now: Date): Promise<Stock | undefined> {
  const [row] = await selectStock(session, { id: uuidOf(id), now });
  return row && rowToStock(row);
}

const selectBySku = sqlStatement<{ sku: string }, { id: string }>(
  (p) => sql`select id from product.variants where sku = ${p.sku}`,
);

export async function findVariantBySku(session: Session, sku: string): Promise<Id<"var"> | undefined> {
  const [row] = await selectBySku(session, { sku });
  return row && idOf("var", row.id);
}

// `offset 0` and `array` keep the look-ups by key apart: joined, they may become scans of all lines and all stock.
const lock = sqlStatement<{ ids: string; now: Date }, StockRow & { due: string | null }>(
  (p) => sql`with due as (
      select h.id from product.holds h where ${isDue(p)} and exists (select from product.hold_lines l
        where l.hold_id = h.id and l.variant_id = any(${listOf(p.ids)}) offset 0)
    )
    select s.variant_id, s.tracked, ${isSold}, s.on_hand, s.reserved, s.version,
      (select string_agg(id::text, ',') from due) as due
    from product.stock s
    where s.variant_id = any(array(select unnest(${listOf(p.ids)}) union select line.variant_id from due
      cross join lateral (select l.variant_id from product.hold_lines l where l.hold_id = due.id offset 0) line))
    order by s.variant_id for no key update of s`,
);

/**
 * Locks the stock of variants, and of all variants that their due holds touch, in one global order. Returns it as it
 * is now, before these holds are ended, and the holds. Unknown variants are absent.
 */
export async function lockStockRows(
  tx: Tx,
  ids: readonly Id<"var">[],
  now: Date,
): Promise<{ stockOf: Map<string, Stock>; due: Id<"hold">[] }> {
  const rows = await lock(tx, { ids: uuids(ids), now });
  return {
    stockOf: new Map(rows.map(rowToStock).map((stock) => [stock.variantId, stock])),
    due: (rows[0]?.due ?? "").split(",").flatMap((id) => (id === "" ? [] : idOf("hold", id))),
  };
}

interface MoveParams {
  variantId: string;
  delta: number;
  fell: boolean;
  kind: string;
  note: string;
  movementId: string;
  now: Date;
}

const move = sqlStatement<MoveParams, { version: number; lows: number }>(
  (p) => sql`with moved as (
      update product.stock set on_hand = on_hand + ${p.delta}::int, version = version + 1,
        lows = lows + ${p.fell}::boolean::int
      where variant_id = ${p.variantId} returning variant_id, version, lows
    ), ledger as (
      insert into product.stock_movements (id, variant_id, kind, delta, note, at)
      select ${p.movementId}, variant_id, ${p.kind}, ${p.delta}::int, ${p.note}, ${p.now} from moved
    )
    select version, lows from moved`,
);

/** A change of the units on hand that no hold makes. */
export interface StockChange {
  delta: number;
  kind: "receive" | "adjust";
  note: string;
}

/**
 * Changes the units on hand and writes the ledger; `fell` counts that the stock fell low, and `lows` says how often so
 * far. The stock must be locked and the result not negative.
 */
export async function moveStock(
  tx: Tx,
  stock: Stock,
  change: StockChange,
  fell: boolean,
  now: Date,
): Promise<{ stock: Stock; lows: number }> {
  const [row] = await move(tx, {
    ...change,
    fell,
    variantId: uuidOf(stock.variantId),
    movementId: uuidv7(now.getTime()),
    now,
  });
  const { version, lows } = row!;
  return { stock: { ...stock, onHand: stock.onHand + change.delta, version }, lows };
}
