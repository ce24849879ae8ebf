import type { Session, Tx } from "@mall/kernel/db/client";
import { type Params, sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf, uuidv7 } from "@mall/kernel/id";
import { type SQL, sql } from "drizzle-orm";
import type { Hold, HoldState, Stock, StockLine } from "../domain/stock";

interface StockRow {
  variant_id: string;
  tracked: boolean;
  sold: boolean;
  on_hand: number;
  reserved: number;
  version: number;
}

const rowToStock = (row: StockRow): Stock => ({
  variantId: idOf("var", row.variant_id),
  trackInventory: row.tracked,
  sold: row.sold,
  onHand: row.on_hand,
  reserved: row.reserved,
  version: row.version,
});

const uuids = (ids: readonly string[]) => ids.map(uuidOf).join(",");
const listOf = (ids: SQL) => sql`string_to_array(${ids}, ',')::uuid[]`;

const isSold = sql`exists (select from product.variants v join product.products p on p.id = v.product_id
  where v.id = s.variant_id and v.sold and p.status = 'published') as sold`;

const isDue = (p: Params<{ now: Date }>) => sql`h.state = 'active' and h.expires_at <= ${p.now}::timestamptz`;

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

interface ExpiredRow {
  id: string;
  checkout_id: string;
  variant_id: string | null;
  quantity: number;
}

// Whether a hold is due is asked again, since it may have been extended while its stock was waited for.
const expire = sqlStatement<{ ids: string; now: Date }, ExpiredRow>(
  (p) => sql`with ended as (
      update product.holds set state = 'expired', ended_at = ${p.now}::timestamptz
      where id = any(${listOf(p.ids)}) and state = 'active' and expires_at <= ${p.now}::timestamptz
      returning id, checkout_id
    ), line as (
      select variant_id, quantity, hold_id from product.hold_lines where hold_id in (select id from ended)
    ), back as (
      update product.stock s set reserved = s.reserved - due.quantity
      from (select variant_id, sum(quantity)::int as quantity from line group by variant_id) due
      where s.variant_id = due.variant_id
    )
    select ended.id, ended.checkout_id, line.variant_id, line.quantity
    from ended left join line on line.hold_id = ended.id`,
);

/** A hold that came to its end, and the units it gave back. */
export interface Expired {
  holdId: Id<"hold">;
  checkoutId: Id<"chk">;
  lines: StockLine[];
}

/** Ends those of the holds that are due. Their stock must be locked. */
export async function expireHolds(tx: Tx, ids: readonly Id<"hold">[], now: Date): Promise<Expired[]> {
  const expired = new Map<string, Expired>();
  for (const row of await expire(tx, { ids: uuids(ids), now })) {
    const hold = expired.get(row.id) ?? {
      holdId: idOf("hold", row.id),
      checkoutId: idOf("chk", row.checkout_id),
      lines: [],
    };
    expired.set(row.id, hold);
    if (row.variant_id) hold.lines.push({ variantId: idOf("var", row.variant_id), quantity: row.quantity });
  }
  return [...expired.values()];
}

interface HoldParams {
  id: string;
  checkoutId: string;
  expiresAt: Date | null;
  now: Date;
  lines: string;
}

const insert = sqlStatement<HoldParams, { id: string }>(
  (p) => sql`with held as (
      insert into product.holds (id, checkout_id, state, expires_at, created_at)
      values (${p.id}, ${p.checkoutId}, 'active', ${p.expiresAt}, ${p.now}) on conflict do nothing returning id
    ), line as (
      select held.id as hold_id, l.variant_id, l.quantity
      from held, jsonb_to_recordset(${p.lines}::text::jsonb) as l(variant_id uuid, quantity int)
    ), lines as (
      insert into product.hold_lines (hold_id, variant_id, quantity) select hold_id, variant_id, quantity from line
    ), taken as (
      update product.stock s set reserved = s.reserved + line.quantity from line where s.variant_id = line.variant_id
    )
    select id from held`,
);

/** Stores a hold and takes its units; false when the checkout has a hold already. The stock must be locked. */
export async function insertHold(
  tx: Tx,
  hold: Hold,
  lines: readonly StockLine[],
  now: Date,
): Promise<boolean> {
  const rows = await insert(tx, {
    id: uuidOf(hold.id),
    checkoutId: uuidOf(hold.checkoutId),
    expiresAt: hold.expiresAt ?? null,
    now,
    lines: JSON.stringify(
      lines.map((line) => ({ variant_id: uuidOf(line.variantId), quantity: line.quantity })),
    ),
  });
  return rows.length === 1;
}

interface HoldRow {
  id: string;
  checkout_id: string;
  state: HoldState;
  expires_at: string | null;
  lines: string;
}

const selectHold = sqlStatement<{ checkoutId: string }, HoldRow>(
  (p) => sql`select h.id, h.checkout_id, h.state, h.expires_at,
      (select coalesce(jsonb_agg(jsonb_build_object('variantId', l.variant_id, 'quantity', l.quantity)), '[]')::text
        from product.hold_lines l where l.hold_id = h.id) as lines
    from product.holds h where h.checkout_id = ${p.checkoutId}`,
);

/** The hold of a checkout with its tracked lines. */
export async function findHold(
  session: Session,
  checkoutId: Id<"chk">,
): Promise<{ hold: Hold; lines: StockLine[] } | undefined> {
  const [row] = await selectHold(session, { checkoutId: uuidOf(checkoutId) });
  if (!row) return undefined;
  const lines = JSON.parse(row.lines) as { variantId: string; quantity: number }[];
  return {
    hold: {
      id: idOf("hold", row.id),
      checkoutId,
      state: row.state,
      expiresAt: row.expires_at ? new Date(row.expires_at) : undefined,
    },
    lines: lines.map((line) => ({ variantId: idOf("var", line.variantId), quantity: line.quantity })),
  };
}

const end = sqlStatement<
  { id: string; state: string; now: Date; sells: boolean; reference: string; movements: string },
  { id: string }
>(
  (p) => sql`with ended as (
      update product.holds set state = ${p.state}, ended_at = ${p.now}::timestamptz
      where id = ${p.id} and state = 'active' and (expires_at is null or expires_at > ${p.now}::timestamptz)
      returning id
    ), line as (
      select l.variant_id, l.quantity from product.hold_lines l where l.hold_id in (select id from ended)
    ), given as (
      update product.stock s set reserved = s.reserved - line.quantity,
        on_hand = s.on_hand - case when ${p.sells} then line.quantity else 0 end,
        version = s.version + case when ${p.sells} then 1 else 0 end
      from line where s.variant_id = line.variant_id
    ), ledger as (
      insert into product.stock_movements (id, variant_id, kind, delta, reference, at)
      select m.id, line.variant_id, 'sale', -line.quantity, ${p.reference}, ${p.now}::timestamptz
      from line join jsonb_to_recordset(${p.movements}::text::jsonb) as m(id uuid, variant_id uuid)
        on m.variant_id = line.variant_id
      where ${p.sells}
    )
    select id from ended`,
);

/** Ends a hold that still holds: its units are sold or given back. False when there is none. The stock must be locked. */
export async function endHold(
  tx: Tx,
  { hold, lines }: { hold: Hold; lines: readonly StockLine[] },
  state: "claimed" | "released",
  now: Date,
): Promise<boolean> {
  const movements = lines.map((line) => ({ id: uuidv7(now.getTime()), variant_id: uuidOf(line.variantId) }));
  const rows = await end(tx, {
    id: uuidOf(hold.id),
    state,
    now,
    sells: state === "claimed",
    reference: hold.checkoutId,
    movements: JSON.stringify(movements),
  });
  return rows.length === 1;
}

const extend = sqlStatement<{ checkoutId: string; expiresAt: Date | null; now: Date }, { id: string }>(
  (p) => sql`update product.holds set expires_at = ${p.expiresAt}
    where checkout_id = ${p.checkoutId} and state = 'active' and (expires_at is null or expires_at > ${p.now}) returning id`,
);

/** Moves the end of a hold that still holds; false when there is none. */
export const extendHold = async (
  session: Session,
  checkoutId: Id<"chk">,
  expiresAt: Date | undefined,
  now: Date,
): Promise<boolean> =>
  (await extend(session, { checkoutId: uuidOf(checkoutId), expiresAt: expiresAt ?? null, now })).length === 1;

const selectDue = sqlStatement<{ now: Date; limit: number }, { id: string; variants: string }>(
  (p) => sql`select h.id, (select coalesce(string_agg(l.variant_id::text, ','), '')
      from product.hold_lines l where l.hold_id = h.id) as variants
    from product.holds h where h.state = 'active' and h.expires_at <= ${p.now}
    order by h.expires_at limit ${p.limit}`,
);

/** Holds that are due, the longest due first, and the variants they touch. */
export async function listDueHolds(
  session: Session,
  now: Date,
  limit: number,
): Promise<{ holdIds: Id<"hold">[]; variantIds: Id<"var">[] }> {
  const rows = await selectDue(session, { now, limit });
  const touched = new Set(rows.flatMap((row) => row.variants.split(",")).filter(Boolean));
  return {
    holdIds: rows.map((row) => idOf("hold", row.id)),
    variantIds: [...touched].map((id) => idOf("var", id)),
  };
}

interface MoveParams {
  variantId: string;
  delta: number;
  kind: string;
  note: string;
  movementId: string;
  now: Date;
}

const move = sqlStatement<MoveParams, { version: number }>(
  (p) => sql`with moved as (
      update product.stock set on_hand = on_hand + ${p.delta}::int, version = version + 1
      where variant_id = ${p.variantId} returning variant_id, version
    ), ledger as (
      insert into product.stock_movements (id, variant_id, kind, delta, note, at)
      select ${p.movementId}, variant_id, ${p.kind}, ${p.delta}::int, ${p.note}, ${p.now} from moved
    )
    select version from moved`,
);

/** Changes the units on hand and writes the ledger. The stock must be locked and the result not negative. */
export async function moveStock(
  tx: Tx,
  stock: Stock,
  change: { delta: number; kind: "receive" | "adjust"; note: string },
  now: Date,
): Promise<Stock> {
  const [row] = await move(tx, {
    ...change,
    variantId: uuidOf(stock.variantId),
    movementId: uuidv7(now.getTime()),
    now,
  });
  return { ...stock, onHand: stock.onHand + change.delta, version: row!.version };
}
