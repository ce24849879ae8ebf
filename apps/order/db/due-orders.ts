import type { Session, Tx } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { sql } from "drizzle-orm";
import { expiredReason } from "../domain/decide";

/** An order that was cancelled because nobody paid it in time. */
export interface Expired {
  orderId: Id<"ord">;
  checkoutId: Id<"chk">;
  version: number;
}

const expire = sqlStatement<
  { now: Date; limit: number; reason: string },
  { id: string; checkout_id: string; version: number }
>(
  (p) => sql`with due as (
      select id from "order".orders where expires_at <= ${p.now}
      order by expires_at limit ${p.limit} for update skip locked
    ), expired as (
      update "order".orders o set version = version + 1, state = 'CANCELLED', cancel_reason = ${p.reason}::text,
        cancelled_at = expires_at, expires_at = null
      from due where o.id = due.id
      returning o.id, o.checkout_id, o.version, o.cancelled_at
    ), timeline as (
      insert into "order".order_events (id, order_id, sequence, kind, detail, at)
      select gen_random_uuid(), id, version, 'cancelled', ${p.reason}::text, cancelled_at from expired
    )
    select id, checkout_id, version from expired`,
);

/** Writes up to `limit` expiries down that are due; several callers at once never write the same one. */
export async function expireDue(tx: Tx, now: Date, limit: number): Promise<Expired[]> {
  const rows = await expire(tx, { now, limit, reason: expiredReason });
  return rows.map((row) => ({
    orderId: idOf("ord", row.id),
    checkoutId: idOf("chk", row.checkout_id),
    version: row.version,
  }));
}

/** A cancelled order whose units and money have to go back. */
export interface Undo {
  orderId: Id<"ord">;
  checkoutId: Id<"chk">;
  /** Times the sweeper has tried, this one included. */
  attempts: number;
}

const lease = sqlStatement<
  { now: Date; leaseUntil: Date; limit: number },
  { id: string; checkout_id: string; attempts: number }
>(
  (p) => sql`update "order".orders set undo_due_at = ${p.leaseUntil}, undo_attempts = undo_attempts + 1
    where id in (select id from "order".orders where undo_due_at <= ${p.now}
      order by undo_due_at limit ${p.limit} for update skip locked)
    returning id, checkout_id, undo_attempts as attempts`,
);

/** Takes up to `limit` cancelled orders whose units and money have to go back, until `leaseUntil`. */
export async function leaseUndos(
  session: Session,
  now: Date,
  leaseUntil: Date,
  limit: number,
): Promise<Undo[]> {
  const rows = await lease(session, { now, leaseUntil, limit });
  return rows.map((row) => ({
    orderId: idOf("ord", row.id),
    checkoutId: idOf("chk", row.checkout_id),
    attempts: row.attempts,
  }));
}

const settle = sqlStatement<{ id: string; dueAt: Date | null }, object>(
  (p) => sql`update "order".orders set undo_due_at = ${p.dueAt}::timestamptz
    where id = ${p.id} and undo_due_at is not null`,
);

/** Writes down that everything went back, or when it is tried again; a success of somebody else stands. */
export async function settleUndo(session: Session, id: Id<"ord">, dueAt: Date | undefined): Promise<void> {
  await settle(session, { id: uuidOf(id), dueAt: dueAt ?? null });
}
