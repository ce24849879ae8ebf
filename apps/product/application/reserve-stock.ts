import { StockReleasedSchema, StockReservedSchema } from "@mall/gen/mall/product/v1/events_pb";
import { lostRace } from "@mall/kernel/db/client";
import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { lockOwner, type Reservation, type Reserved, tryReserve } from "../db/holds";
import type { Deps } from "../deps";
import { checkHoldLimit, type Hold, holdEnded, isHeld } from "../domain/hold";
import { checkLines, type StockLine, trackedUnits, variantsOf } from "../domain/stock";
import { lowStock } from "./announce-low";
import { lockStock } from "./lock-stock";

export interface ReserveStock {
  checkoutId: Id<"chk">;
  lines: readonly StockLine[];
  /** When the hold ends by itself; undefined = never. */
  expiresAt?: Date;
  /** Whose expiring units are limited; undefined for guests. */
  userId?: Id<"usr">;
}

/** How often a reservation may lose to others, which is rare, before it makes them wait. */
const freeTriesMax = 3;
const triesMax = 10;

/** Fault VALIDATION when a variant is in two lines: a line must be decided as a whole. */
function checkDistinct(lines: readonly StockLine[]): void {
  const seen = new Set<string>();
  for (const [index, { variantId }] of lines.entries()) {
    if (seen.has(variantId)) {
      const violations = [{ pointer: `#/lines/${index}/variantId`, detail: "is in two lines" }];
      throw fault("invalid_argument", "VALIDATION", "Each variant may be in one line only.", { violations });
    }
    seen.add(variantId);
  }
}

/** The hold that a checkout has already. Fault HOLD_ENDED when it is over, unless by its claim. */
function repeated(hold: Hold, now: Date): Id<"hold"> {
  if (hold.state === "claimed" || isHeld(hold, now)) return hold.id;
  throw holdEnded();
}

/** The hold that came of an attempt; undefined when nothing speaks against it but that others were faster. */
function decide(asked: Reservation, tried: Reserved): Id<"hold"> | undefined {
  const { hold, owner, lines, now } = asked;
  if (tried.held) return hold.id;
  if (tried.known) return repeated(tried.known, now);
  checkLines(lines, tried.stockOf);
  if (hold.expiresAt) checkHoldLimit(tried.userUnits, trackedUnits(lines, tried.stockOf), owner?.unitsMax);
  return undefined;
}

/** In one statement, which locks what it needs only while it writes. */
async function reserveAtOnce(deps: Deps, asked: Reservation): Promise<Id<"hold"> | undefined> {
  try {
    return decide(asked, await tryReserve(deps.db, asked));
  } catch (error) {
    if (lostRace(error)) return undefined;
    throw error;
  }
}

/** Behind locks, so that nobody can be faster: for those who lost too often. */
async function reserveLocked(deps: Deps, asked: Reservation): Promise<Id<"hold"> | undefined> {
  const { hold, owner, lines, now } = asked;
  const tried = await deps.db.tx(async (tx) => {
    if (owner?.unitsMax !== undefined && hold.expiresAt) await lockOwner(tx, owner.userId);
    await lockStock(deps, tx, variantsOf(lines), now);
    return tryReserve(tx, asked);
  });
  return decide(asked, tried);
}

/** The reservation with all that it may have to announce. */
function asking(deps: Deps, { checkoutId, lines, expiresAt, userId }: ReserveStock): Reservation {
  const about = { subject: checkoutId, data: { checkoutId } };
  return {
    hold: { id: deps.newId("hold"), checkoutId, state: "active", expiresAt },
    owner: userId && { userId, unitsMax: deps.unitsPerUserMax },
    lines: lines.map((line) => ({
      ...line,
      low: deps.eventRows(lowStock({ ...line, available: 0, times: 0 })),
    })),
    now: deps.clock(),
    lowAt: deps.lowAt,
    events: {
      reserved: deps.eventRows({ ...about, desc: StockReservedSchema, sequence: 1 }),
      released: deps.eventRows({ ...about, desc: StockReleasedSchema, sequence: 2 }),
    },
  };
}

/**
 * Holds units for a checkout, all lines or none; untracked variants need none. A repetition returns the hold the
 * checkout has. Faults: ITEM_UNAVAILABLE for a variant that is unknown or not sold, OUT_OF_STOCK, HOLD_LIMIT_EXCEEDED
 * when the user's expiring holds would be too many units, HOLD_ENDED when the checkout's hold is over.
 */
export const reserveStock =
  (deps: Deps) =>
  async (asked: ReserveStock): Promise<Id<"hold">> => {
    checkDistinct(asked.lines);
    for (let tries = 0; tries < triesMax; tries++) {
      const reserve = tries < freeTriesMax ? reserveAtOnce : reserveLocked;
      const held = await reserve(deps, asking(deps, asked));
      if (held) return held;
    }
    throw new Error(`the stock for ${asked.checkoutId} did not stand still under its locks`);
  };
