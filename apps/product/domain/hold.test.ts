import { describe, expect, test } from "bun:test";
import { faultInfo } from "@mall/kernel/fault";
import { idOf } from "@mall/kernel/id";
import fc from "fast-check";
import { checkHoldLimit, type HoldState, holdMoves, isHeld, noLongerHeld } from "./hold";
import { fellLow } from "./stock";

const now = new Date("2026-01-01T12:00:00.000Z");
const after = (ms: number) => new Date(now.getTime() + ms);
const uuid = "00000000-0000-7000-8000-000000000000";
const states: HoldState[] = ["active", "claimed", "released", "expired", "returned"];
const moves = Object.keys(holdMoves) as (keyof typeof holdMoves)[];

const holdIn = (state: HoldState, expiresAt?: Date) => ({
  ...{ id: idOf("hold", uuid), checkoutId: idOf("chk", uuid), state, expiresAt },
});

const reasonOf = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    return faultInfo(error)?.reason;
  }
};

describe("a hold", () => {
  const ends: [string, Date | undefined, boolean][] = [
    ["no end", undefined, true],
    ["an end ahead", after(1), true],
    ["its end now", now, false],
    ["its end behind", after(-1), false],
  ];

  for (const state of states) {
    test.each(ends)(`that is ${state} with %s`, (_, expiresAt, isAhead) => {
      expect(isHeld(holdIn(state, expiresAt), now)).toBe(state === "active" && isAhead);
    });
  }

  test("that was given back has ended, any other is only too late", () => {
    const reasons = states.map((state) => faultInfo(noLongerHeld(holdIn(state, now)))?.reason);
    expect(reasons).toEqual(["HOLD_EXPIRED", "HOLD_EXPIRED", "HOLD_ENDED", "HOLD_EXPIRED", "HOLD_ENDED"]);
  });

  test("leaves active in three ways and a sale in one; nothing else moves", () => {
    const table = moves.map((to) => [holdMoves[to].from, to]);
    expect(table).toEqual([
      ["active", "claimed"],
      ["active", "released"],
      ["active", "expired"],
      ["claimed", "returned"],
    ]);
  });
});

/** Stock and books of one variant, moved as the table says. */
class Books {
  onHand: number;
  reserved = 0;
  readonly holds: { state: HoldState; quantity: number }[] = [];
  readonly ledger = { receipts: 0, sold: 0, restocks: 0 };

  constructor(readonly initial: number) {
    this.onHand = initial;
  }

  reserve(quantity: number): void {
    if (this.onHand - this.reserved < quantity) return;
    this.reserved += quantity;
    this.holds.push({ state: "active", quantity });
  }

  move(index: number, to: keyof typeof holdMoves): void {
    const hold = this.holds[index % Math.max(this.holds.length, 1)];
    const { from, reserved, onHand, movement } = holdMoves[to];
    if (hold?.state !== from) return;
    hold.state = to;
    this.reserved += reserved * hold.quantity;
    this.onHand += onHand * hold.quantity;
    if (movement === "sale") this.ledger.sold -= onHand * hold.quantity;
    if (movement === "restock") this.ledger.restocks += onHand * hold.quantity;
  }

  receive(quantity: number): void {
    this.onHand += quantity;
    this.ledger.receipts += quantity;
  }
}

const deed = fc.oneof(
  fc.record({ kind: fc.constant("reserve" as const), quantity: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ kind: fc.constant("receive" as const), quantity: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ kind: fc.constantFrom(...moves), index: fc.nat({ max: 50 }) }),
);

describe("the moves of holds", () => {
  test("keep every unit accounted for, in any order", () => {
    fc.assert(
      fc.property(fc.nat({ max: 30 }), fc.array(deed, { maxLength: 60 }), (initial, deeds) => {
        const books = new Books(initial);
        for (const deed of deeds) {
          if (deed.kind === "reserve") books.reserve(deed.quantity);
          else if (deed.kind === "receive") books.receive(deed.quantity);
          else books.move(deed.index, deed.kind);
          const available = books.onHand - books.reserved;
          const active = books.holds.filter(({ state }) => state === "active");
          const held = active.reduce((sum, { quantity }) => sum + quantity, 0);
          const { receipts, sold, restocks } = books.ledger;
          expect(initial + receipts + restocks).toBe(available + held + sold);
          expect(books.reserved).toBe(held);
          expect(Math.min(available, books.reserved, books.onHand)).toBeGreaterThanOrEqual(0);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("the limit of a user", () => {
  test("is met to the unit, and absent is no limit", () => {
    fc.assert(
      fc.property(fc.nat({ max: 1000 }), fc.nat({ max: 1000 }), fc.nat({ max: 1000 }), (held, more, max) => {
        const refused = reasonOf(() => checkHoldLimit(held, more, max)) === "HOLD_LIMIT_EXCEEDED";
        expect(refused).toBe(held + more > max);
        expect(reasonOf(() => checkHoldLimit(held, more, undefined))).toBeUndefined();
      }),
    );
  });
});

describe("low stock", () => {
  test("is fallen into once between two times above the threshold, however the way", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 12 }), { minLength: 2 }), fc.nat({ max: 12 }), (levels, lowAt) => {
        const falls = levels.slice(1).filter((level, i) => fellLow(levels[i]!, level, lowAt)).length;
        const sides = levels.map((level) => level > lowAt);
        const crossings = sides.slice(1).filter((isAbove, i) => isAbove !== sides[i]).length;
        expect(falls).toBe(sides[0] ? Math.ceil(crossings / 2) : Math.floor(crossings / 2));
      }),
    );
  });
});
