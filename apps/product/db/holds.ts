import { type EventRow, eventInsert } from "@mall/kernel/bus/outbox";
import type { Session, Tx } from "@mall/kernel/db/client";
import { type Params, sqlStatement } from "@mall/kernel/db/statement";
import { type Id, idOf, uuidOf, uuidv7 } from "@mall/kernel/id";
import { type SQL, sql } from "drizzle-orm";
import type { Hold, HoldMove, HoldState } from "../domain/hold";
import type { Stock, StockLine } from "../domain/stock";
import { isDue, isSold, listOf, rowToStock, type StockRow, uuids } from "./stock";

interface HoldRow {
  hold_id: string | null;
  state: HoldState;
  expires_at: string | null;
}

const rowToHold = (row: HoldRow, checkoutId: Id<"chk">): Hold | undefined =>
  row.hold_id === null
    ? undefined
    : {
        id: idOf("hold", row.hold_id),
        checkoutId,
        state: row.state,
        expiresAt: row.expires_at ? new Date(row.expires_at) : undefined,
      };

const selectHold = sqlStatement<{ checkoutId: string }, HoldRow>(
  (p) => sql`select id as hold_id, state, expires_at from product.holds where checkout_id = ${p.checkoutId}`,
);

/** The hold of a checkout. */
export async function findHold(session: Session, checkoutId: Id<"chk">): Promise<Hold | undefined> {
  const [row] = await selectHold(session, { checkoutId: uuidOf(checkoutId) });
  return row && rowToHold(row, checkoutId);
}

interface ReserveParams {
  id: string;
  checkoutId: string;
  userId: string | null;
  unitsMax: number;
  lines: string;
  expiresAt: Date | null;
  now: Date;
  lowAt: number;
  idPrefix: string;
  reserved: string;
  released: string;
}

interface ReserveRow extends HoldRow {
  held: boolean;
  stock: string | null;
  user_units: number;
}

/** Digits of a UUIDv7 that tell its time and version, for ids of rows that only a statement knows. */
const idPrefixOf = (now: Date): string => uuidv7(now.getTime()).replaceAll("-", "").slice(0, 13);

/** A new UUIDv7 of such a prefix; not a random one, since retention and pages go by the time in it. */
const newUuid = (prefix: SQL) =>
  sql`(${prefix}::text || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid`;

/** The text of a typed id (@mall/kernel/id), for events about rows that only the statement knows. */
const typedId = (prefix: string, uuid: SQL) => sql`(select ${sql.raw(`'${prefix}_'`)} || string_agg(
    substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + substring(B'00' || ('x' || replace((${uuid})::text, '-', ''))::bit(128)
      from 5 * n + 1 for 5)::int, 1), '' order by n) from generate_series(0, 25) n)`;

/*
 * Everything is looked at twice: first as the statement sees the mall when it begins, without waiting for anybody, so
 * that a refusal costs no lock; then, once the rows are locked in the order of their ids, as they are now. A hold is
 * written only if both looks agree. `admitted`, `locked`, `ended` and `moved` work on the newest rows, all else on what
 * was seen. `offset 0` and `array` keep look-ups by key apart: joined, they may become scans of all lines or all stock.
 * An UPDATE checks constraints on the row it saw first before it notices that there is a newer one, so `moved` sets what
 * was locked instead of adding to what it sees. To count `locked` is to lock all of it first. Who has a limit is let in
 * only if the same user reserved nothing since the statement began.
 */
const reserving = (limited: boolean) =>
  sqlStatement<ReserveParams, ReserveRow>(
    (p) => sql`with line as (
      select * from jsonb_to_recordset(${p.lines}::text::jsonb) as l(variant_id uuid, quantity int, low jsonb)
    ), known as (
      select h.id, h.state, h.expires_at from product.holds h where h.checkout_id = ${p.checkoutId}
    ), due as (
      select h.id, h.checkout_id from product.holds h where ${isDue(p)} and exists (select from product.hold_lines l
        where l.hold_id = h.id and l.variant_id = any(array(select variant_id from line)) offset 0)
    ), due_line as (
      select l.hold_id, l.variant_id, l.quantity from due cross join lateral (select l.* from product.hold_lines l
        where l.hold_id = due.id offset 0) l
    ), seen as (
      select s.variant_id, s.tracked, s.sold, s.on_hand, s.version, line.quantity, line.low,
        s.reserved - (select coalesce(sum(d.quantity), 0)::int from due_line d where d.variant_id = s.variant_id)
          as reserved
      from line cross join lateral (select s.*, ${isSold} from product.stock s
        where s.variant_id = line.variant_id offset 0) s
    ), own as (
      ${limited ? ownUnits(p) : sql`select 0 as units`}
    ), fine as (
      select from own where not exists (select from known)
        and (select count(*) from seen where sold and (not tracked or on_hand - reserved >= quantity))
          = (select count(*) from line)
        and own.units + (select coalesce(sum(quantity), 0) from seen where tracked) <= ${p.unitsMax}::int
    ), admitted as (
      ${limited ? admission(p) : sql`select from fine`}
    ), locked as (
      select s.variant_id, s.on_hand, s.reserved from product.stock s
      where s.variant_id = any(array(select variant_id from seen where tracked union select variant_id from due_line))
        and exists (select from admitted)
      order by s.variant_id for no key update of s
    ), ended as (
      update product.holds h set state = 'expired', ended_at = ${p.now}::timestamptz
      where h.id = any(array(select id from due)) and ${isDue(p)} and (select count(*) from locked) > 0
      returning h.id, h.checkout_id
    ), back as (
      select variant_id, sum(quantity)::int as quantity from due_line
      where hold_id in (select id from ended) group by variant_id
    ), taken as (
      select locked.variant_id, seen.quantity, seen.low,
        locked.on_hand - locked.reserved + coalesce(back.quantity, 0) as available
      from locked join seen on seen.variant_id = locked.variant_id and seen.tracked
        left join back on back.variant_id = locked.variant_id
    ), held as (
      insert into product.holds (id, checkout_id, user_id, state, expires_at, created_at)
      select ${p.id}::uuid, ${p.checkoutId}::uuid, ${p.userId}::uuid, 'active', ${p.expiresAt}::timestamptz,
        ${p.now}::timestamptz
      from admitted
      where (select count(*) from taken where available >= quantity) = (select count(*) from seen where tracked)
      on conflict do nothing returning id
    ), lines as (
      insert into product.hold_lines (hold_id, variant_id, quantity)
      select held.id, taken.variant_id, taken.quantity from held, taken
    ), change as (
      select variant_id, quantity, case when available > ${p.lowAt}::int and available - quantity <= ${p.lowAt}::int
        then low end as low from held, taken
      union all select variant_id, -quantity, null from back
    ), moved as (
      update product.stock s set on_hand = locked.on_hand, reserved = locked.reserved + c.quantity,
        lows = s.lows + (c.low is not null)::int
      from locked, (select variant_id, sum(quantity)::int as quantity, jsonb_agg(low) filter (where low is not null) -> 0 as low
        from change group by variant_id) c
      where s.variant_id = any(array(select variant_id from change)) and s.variant_id = c.variant_id
        and s.variant_id = locked.variant_id
      returning s.on_hand - s.reserved as available, s.lows, c.low
    ), event as (
      select e from held, jsonb_array_elements(${p.reserved}::text::jsonb) e
      union all select e || jsonb_build_object('sequence', moved.lows,
          'data', e -> 'data' || jsonb_build_object('available', moved.available))
        from moved, jsonb_array_elements(moved.low) e
      union all select e || jsonb_build_object('id', ${newUuid(p.idPrefix)}, 'subject', about.id,
          'data', e -> 'data' || jsonb_build_object('checkoutId', about.id))
        from (select ${typedId("chk", sql`ended.checkout_id`)} as id from ended) about,
          jsonb_array_elements(${p.released}::text::jsonb) e
    ), announced as (
      ${eventInsert("product", sql`(select coalesce(jsonb_agg(e), '[]') from event)`, p.now)}
    )
    select exists (select from held) as held, known.id as hold_id, known.state, known.expires_at,
      case when not exists (select from held) then (select jsonb_agg(to_jsonb(seen) - 'low') from seen) end::text as stock,
      (select units from own) as user_units
    from (values (1)) as one left join known on true`,
  );

const ownUnits = (p: Params<ReserveParams>) => sql`select coalesce(sum(l.quantity), 0)::int as units
  from product.holds h cross join lateral (select l.quantity from product.hold_lines l where l.hold_id = h.id offset 0) l
  where h.user_id = ${p.userId} and h.state = 'active' and h.expires_at > ${p.now}::timestamptz`;

const admission = (p: Params<ReserveParams>) => sql`
  insert into product.hold_owners as o (user_id, version) select ${p.userId}::uuid, 1 from fine
  on conflict (user_id) do update set version = o.version + 1
    where o.version = (select seen.version from product.hold_owners seen where seen.user_id = ${p.userId})
  returning 1`;

const int32Max = 2 ** 31 - 1;
const reserve = reserving(false);
const reserveLimited = reserving(true);

/** A reservation as it is asked for. */
export interface Reservation {
  hold: Hold;
  /** Whose units are limited, and to how many; without it nothing is. */
  owner?: { userId: Id<"usr">; unitsMax: number | undefined };
  /** Each variant once; `low` is what is announced when its stock falls low, `available` and sequence left open. */
  lines: readonly (StockLine & { low: readonly EventRow[] })[];
  now: Date;
  /** Available units at which stock is low. */
  lowAt: number;
  /** What the hold announces, and what a hold that is due, its checkout left open. */
  events: { reserved: readonly EventRow[]; released: readonly EventRow[] };
}

/** What came of it: the units are held, or what was seen before anything was locked says why not. */
export type Reserved =
  | { held: true }
  | { held: false; known: Hold | undefined; stockOf: Map<string, Stock>; userUnits: number };

/**
 * Holds units for a checkout in one statement, all lines or none: ends the due holds on its variants, then decides, and
 * announces all of it. When nothing is held and nothing that was seen says why, somebody else was faster.
 */
export async function tryReserve(session: Session, asked: Reservation): Promise<Reserved> {
  const { hold, owner, now, lowAt, events } = asked;
  const lines = asked.lines.map(({ variantId, quantity, low }) => ({
    ...{ variant_id: uuidOf(variantId), quantity, low },
  }));
  const unitsMax = hold.expiresAt && owner?.unitsMax;
  const [row] = await (unitsMax === undefined ? reserve : reserveLimited)(session, {
    ...{ now, lowAt, idPrefix: idPrefixOf(now) },
    id: uuidOf(hold.id),
    checkoutId: uuidOf(hold.checkoutId),
    userId: owner ? uuidOf(owner.userId) : null,
    unitsMax: unitsMax ?? int32Max,
    lines: JSON.stringify(lines),
    expiresAt: hold.expiresAt ?? null,
    reserved: JSON.stringify(events.reserved),
    released: JSON.stringify(events.released),
  });
  if (row!.held) return { held: true };
  const seen = (JSON.parse(row!.stock ?? "[]") as StockRow[]).map(rowToStock);
  return {
    held: false,
    known: rowToHold(row!, hold.checkoutId),
    stockOf: new Map(seen.map((of) => [of.variantId, of])),
    userUnits: row!.user_units,
  };
}

const lockOwnerRow = sqlStatement<{ userId: string }, object>(
  (p) => sql`insert into product.hold_owners as o (user_id, version) values (${p.userId}, 1)
    on conflict (user_id) do update set version = o.version + 1`,
);

/** Makes the other reservations of a user wait until the transaction ends. To be called before any stock is locked. */
export async function lockOwner(tx: Tx, userId: Id<"usr">): Promise<void> {
  await lockOwnerRow(tx, { userId: uuidOf(userId) });
}

interface MoveParams {
  checkoutId: string;
  from: string;
  to: string;
  beforeEnd: boolean;
  reserved: number;
  onHand: number;
  movement: string;
  idPrefix: string;
  reference: string;
  now: Date;
  events: string;
  fenceId: string | null;
}

const move = sqlStatement<MoveParams, HoldRow & { moved: boolean; fenced: boolean }>(
  (p) => sql`with hold as (
      select h.id, h.state, h.expires_at from product.holds h where h.checkout_id = ${p.checkoutId}
    ), line as (
      select l.variant_id, l.quantity from hold cross join lateral (select l.variant_id, l.quantity
        from product.hold_lines l where l.hold_id = hold.id offset 0) l
      where hold.state = ${p.from}
        and (not ${p.beforeEnd} or hold.expires_at is null or hold.expires_at > ${p.now}::timestamptz)
    ), locked as (
      select s.variant_id from product.stock s where s.variant_id = any(array(select variant_id from line))
      order by s.variant_id for no key update of s
    ), ended as (
      update product.holds h set state = ${p.to}, ended_at = coalesce(h.ended_at, ${p.now}::timestamptz)
      where h.id = (select id from hold) and h.state = ${p.from}
        and (not ${p.beforeEnd} or h.expires_at is null or h.expires_at > ${p.now}::timestamptz)
        and (select count(*) from locked) = (select count(*) from line)
      returning h.id
    ), counted as (
      update product.stock s set reserved = s.reserved + ${p.reserved}::int * line.quantity,
        on_hand = s.on_hand + ${p.onHand}::int * line.quantity, version = s.version + abs(${p.onHand}::int)
      from line, ended
      where s.variant_id = any(array(select variant_id from line)) and s.variant_id = line.variant_id
    ), ledger as (
      insert into product.stock_movements (id, variant_id, kind, delta, reference, at)
      select ${newUuid(p.idPrefix)}, line.variant_id,
        ${p.movement}, ${p.onHand}::int * line.quantity, ${p.reference}, ${p.now}::timestamptz
      from line, ended where ${p.onHand}::int <> 0
    ), fence as (
      insert into product.holds (id, checkout_id, state, created_at, ended_at)
      select ${p.fenceId}::uuid, ${p.checkoutId}::uuid, ${p.to}, ${p.now}::timestamptz, ${p.now}::timestamptz
      where ${p.fenceId}::uuid is not null and not exists (select from hold)
      on conflict do nothing returning id
    ), announced as (
      ${eventInsert("product", sql`${p.events}::text::jsonb`, p.now)} where exists (select from ended)
    )
    select exists (select from ended) as moved, exists (select from fence) as fenced, hold.id as hold_id, hold.state,
      hold.expires_at
    from (values (1)) as one left join hold on true`,
);

/** A move of a checkout's hold as it is asked for. */
export interface Move {
  to: HoldState;
  move: HoldMove;
  now: Date;
  /** What it announces. */
  events: readonly EventRow[];
  /** Id of a hold in the state `to` that a checkout without any gets, so that it can never have another. */
  fenceId?: Id<"hold">;
}

/**
 * Makes the move in one statement, with its stock and its ledger. Otherwise tells what was seen before anything was
 * locked; when that does not say why, somebody else was faster.
 */
export async function tryMove(
  session: Session,
  checkoutId: Id<"chk">,
  { to, move: { from, beforeEnd, reserved, onHand, movement }, now, events, fenceId }: Move,
): Promise<{ done: boolean; seen: Hold | undefined }> {
  const [row] = await move(session, {
    ...{ from, to, beforeEnd, reserved, onHand, movement, now },
    events: JSON.stringify(events),
    checkoutId: uuidOf(checkoutId),
    reference: checkoutId,
    idPrefix: idPrefixOf(now),
    fenceId: fenceId ? uuidOf(fenceId) : null,
  });
  return { done: row!.moved || row!.fenced, seen: rowToHold(row!, checkoutId) };
}

const extend = sqlStatement<
  { checkoutId: string; expiresAt: Date | null; sequence: number; now: Date },
  { id: string }
>(
  (p) => sql`update product.holds set expires_at = ${p.expiresAt}, sequence = ${p.sequence}
    where checkout_id = ${p.checkoutId} and state = 'active' and (expires_at is null or expires_at > ${p.now})
      and sequence <= ${p.sequence} returning id`,
);

/** Moves the end of a hold that still holds; false when there is none, or a later call came first. */
export const extendHold = async (
  session: Session,
  checkoutId: Id<"chk">,
  { expiresAt, sequence }: { expiresAt: Date | undefined; sequence: number },
  now: Date,
): Promise<boolean> => {
  const params = { checkoutId: uuidOf(checkoutId), expiresAt: expiresAt ?? null, sequence, now };
  return (await extend(session, params)).length === 1;
};

const selectDue = sqlStatement<{ now: Date; limit: number }, { id: string; variants: string }>(
  (p) => sql`select h.id, (select coalesce(string_agg(l.variant_id::text, ','), '')
      from product.hold_lines l where l.hold_id = h.id) as variants
    from product.holds h where ${isDue(p)} order by h.expires_at limit ${p.limit}`,
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

interface ExpiredRow {
  id: string;
  checkout_id: string;
  variant_id: string | null;
  quantity: number;
}

// Whether a hold is due is asked again, since it may have been extended while its stock was waited for.
const expire = sqlStatement<{ ids: string; now: Date }, ExpiredRow>(
  (p) => sql`with ended as (
      update product.holds h set state = 'expired', ended_at = ${p.now}::timestamptz
      where h.id = any(${listOf(p.ids)}) and ${isDue(p)}
      returning h.id, h.checkout_id
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
  checkoutId: Id<"chk">;
  lines: StockLine[];
}

/** Ends those of the holds that are due. Their stock must be locked. */
export async function expireHolds(tx: Tx, ids: readonly Id<"hold">[], now: Date): Promise<Expired[]> {
  const expired = new Map<string, Expired>();
  for (const row of await expire(tx, { ids: uuids(ids), now })) {
    const hold = expired.get(row.id) ?? { checkoutId: idOf("chk", row.checkout_id), lines: [] };
    expired.set(row.id, hold);
    if (row.variant_id) hold.lines.push({ variantId: idOf("var", row.variant_id), quantity: row.quantity });
  }
  return [...expired.values()];
}
