import type { Session } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { sql } from "drizzle-orm";
import type { Movement, MovementKind, Recount } from "../domain/ledger";

interface MovementRow {
  id: string;
  kind: MovementKind;
  delta: number;
  reference: string;
  note: string;
  at: string;
}

const selectMovements = sqlStatement<{ variantId: string; before: string; limit: number }, MovementRow>(
  (p) => sql`select id, kind, delta, reference, note, at from product.stock_movements
    where variant_id = ${p.variantId} and id < ${p.before} order by id desc limit ${p.limit}`,
);

const afterAll = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/** The newest entries of a variant's ledger, those before the entry `before` when it is given. */
export async function listMovementsBefore(
  session: Session,
  variantId: Id<"var">,
  before: string | undefined,
  limit: number,
): Promise<Movement[]> {
  const rows = await selectMovements(session, {
    variantId: uuidOf(variantId),
    before: before ?? afterAll,
    limit,
  });
  return rows.map((row) => ({ ...row, at: new Date(row.at) }));
}

interface RecountRow {
  variant_id: string;
  on_hand: number;
  reserved: number;
  moved: string;
  held: string;
}

// One statement sees one instant, and each change of stock comes with its ledger and holds in one transaction.
const recount = sqlStatement<{ after: string; limit: number }, RecountRow>(
  (p) => sql`with page as (
      select s.variant_id, s.on_hand, s.reserved from product.stock s
      where s.tracked and s.variant_id > ${p.after} order by s.variant_id limit ${p.limit}
    ), held as (
      select l.variant_id, sum(l.quantity) as units
      from product.holds h cross join lateral (select l.variant_id, l.quantity from product.hold_lines l
        where l.hold_id = h.id and l.variant_id = any(array(select variant_id from page)) offset 0) l
      where h.state = 'active' group by l.variant_id
    )
    select page.variant_id, page.on_hand, page.reserved, coalesce(held.units, 0)::text as held,
      (select coalesce(sum(m.delta), 0)::text from product.stock_movements m
        where m.variant_id = page.variant_id) as moved
    from page left join held on held.variant_id = page.variant_id order by page.variant_id`,
);

const beforeAll = "00000000-0000-0000-0000-000000000000";

/** Stock, ledger and active holds of the next tracked variants in the order of their ids, all of one instant. */
export async function recountAfter(
  session: Session,
  after: Id<"var"> | undefined,
  limit: number,
): Promise<Recount[]> {
  const rows = await recount(session, { after: after ? uuidOf(after) : beforeAll, limit });
  return rows.map((row) => ({
    variantId: idOf("var", row.variant_id),
    onHand: row.on_hand,
    moved: Number(row.moved),
    reserved: row.reserved,
    held: Number(row.held),
  }));
}
