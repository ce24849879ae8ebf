import type { Session, Tx } from "@mall/kernel/db/client";
import { type Params, sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf, uuidv7 } from "@mall/kernel/id";
import { sql } from "drizzle-orm";
import type { Hold, HoldState, Stock, StockLine } from "../domain/stock";

interface StockRow {
  variant_id: string;
  tracked: boolean;
  on_hand: number;
  reserved: number;
  version: number;
  has_due: boolean;
}

const rowToStock = (row: StockRow): Stock => ({
  variantId: idOf("var", row.variant_id),
  trackInventory: row.tracked,
  onHand: row.on_hand,
  reserved: row.reserved,
  version: row.version,
});

const uuids = (ids: readonly string[]) => ids.map(uuidOf).join(",");
const listOf = (p: Params<{ ids: string }>["ids"]) => sql`string_to_array(${p}, ',')::uuid[]`;

const dueQuantity = (p: Params<{ now: Date }>) => sql`(select coalesce(sum(l.quantity), 0)::int
  from product.hold_lines l join product.holds h on h.id = l.hold_id
  where l.variant_id = s.variant_id and h.state = 'active' and h.expires_at <= ${p.now}::timestamptz)`;

const selectStock = sqlStatement<{ id: string; now: Date }, StockRow>(
  (
    p,
  ) => sql`select s.variant_id, s.tracked, s.on_hand, s.reserved - ${dueQuantity(p)} as reserved, s.version, false as has_due
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

// All stock rows that expiring the due holds of these variants would touch are locked too, in the one global order.
const lock = sqlStatement<{ ids: string; now: Date }, StockRow>(
  (p) => sql`with due as (
      select distinct l.hold_id from product.hold_lines l join product.holds h on h.id = l.hold_id
      where l.variant_id = any(${listOf(p.ids)}) and h.state = 'active' and h.expires_at <= ${p.now}::timestamptz)
    select s.variant_id, s.tracked, s.on_hand, s.reserved, s.version, exists (select from due) as has_due
    from product.stock s
    where s.variant_id = any(${listOf(p.ids)})
      or s.variant_id in (select variant_id from product.hold_lines where hold_id in (select hold_id from due))
    order by s.variant_id for no key update of s`,
);

const expire = sqlStatement<{ ids: string; now: Date }, { variant_id: string; back: number }>(
  (p) => sql`with ended as (
      update product.holds set state = 'expired', ended_at = ${p.now}::timestamptz
      where state = 'active' and expires_at <= ${p.now}::timestamptz
        and id in (select hold_id from product.hold_lines where variant_id = any(${listOf(p.ids)}))
      returning id
    ), back as (
      select variant_id, sum(quantity)::int as quantity from product.hold_lines
      where hold_id in (select id from ended) group by variant_id
    )
    update product.stock s set reserved = s.reserved - back.quantity from back
    where s.variant_id = back.variant_id returning s.variant_id, back.quantity as back`,
);

/**
 * Locks the stock of variants in one global order and ends their due holds first, so that what is returned is exact
 * until the transaction ends. Unknown variants are absent.
 */
export async function lockStock(tx: Tx, ids: readonly Id<"var">[], now: Date): Promise<Map<string, Stock>> {
  const rows = await lock(tx, { ids: uuids(ids), now });
  const known = new Map(rows.map((row) => [idOf("var", row.variant_id) as string, rowToStock(row)]));
  if (!rows.some((row) => row.has_due)) return known;
  for (const { variant_id, back } of await expire(tx, { ids: uuids(ids), now })) {
    const stock = known.get(idOf("var", variant_id));
    if (stock) stock.reserved -= back;
  }
  return known;
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
      where id = ${p.id} and state = 'active' returning id
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

/** Ends an active hold: its units are sold or given back. False when it has ended already. The stock must be locked. */
export async function endHold(
  tx: Tx,
  { hold, lines }: { hold: Hold; lines: readonly StockLine[] },
  state: "claimed" | "released" | "expired",
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

const selectDue = sqlStatement<{ now: Date }, { checkout_id: string }>(
  (p) => sql`select checkout_id from product.holds where state = 'active' and expires_at <= ${p.now}
    order by expires_at limit 100`,
);

/** Checkouts whose holds are due, 100 at most. */
export const listDueHolds = async (session: Session, now: Date): Promise<Id<"chk">[]> =>
  (await selectDue(session, { now })).map((row) => idOf("chk", row.checkout_id));

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
