import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { type Db, databaseCode, type Sql } from "@mall/kernel/db/client";
import { idOf, uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { createProductService } from "./service";

let mall: Harness;
let deadlocks = 0;

/** The database of the service, with the deadlocks counted that it would try again and hide. */
const watched = (db: Db): Db => ({
  get sql() {
    return db.sql;
  },
  get orm() {
    return db.orm;
  },
  tx: (run) =>
    db.tx(async (tx) => {
      try {
        return await run(tx);
      } catch (error) {
        if (databaseCode(error) === "40P01") deadlocks++;
        throw error;
      }
    }),
  close: () => db.close(),
});

beforeAll(async () => {
  mall = await harness("product", (resources) =>
    createProductService({ ...resources, db: watched(resources.db) }),
  );
});

/**
 * Variants whose figures are negative or break the identity: there is never one. Units that came (first, received,
 * adjusted, returned) = available + held + sold; the ledger's sales and returns are those of the holds.
 */
const unsoundStock = () => mall.db.sql`
  select s.*, m.*, h.* from product.stock s
  cross join lateral (select
      coalesce(sum(delta) filter (where kind <> 'sale'), 0) as came, coalesce(-sum(delta) filter (where kind = 'sale'), 0) as sold,
      coalesce(sum(delta) filter (where kind = 'restock'), 0) as returned
    from product.stock_movements where variant_id = s.variant_id) m
  cross join lateral (select
      coalesce(sum(l.quantity) filter (where h.state = 'active'), 0) as held,
      coalesce(sum(l.quantity) filter (where h.state in ('claimed', 'returned')), 0) as claimed,
      coalesce(sum(l.quantity) filter (where h.state = 'returned'), 0) as returned
    from product.hold_lines l join product.holds h on h.id = l.hold_id where l.variant_id = s.variant_id) h
  where s.on_hand < 0 or s.reserved < 0 or s.on_hand < s.reserved or s.reserved <> h.held
    or m.came <> s.on_hand - s.reserved + h.held + m.sold or m.sold <> h.claimed or m.returned <> h.returned`;

/** Ids that are not in the order of time, on which retention and pages depend. */
const strayIds = () => mall.db.sql`
  select id from (select id from product.outbox union all select id from product.stock_movements) ids
  where substr(id::text, 15, 1) <> '7' or id::text not between '019b7' and '019b8'`;

afterAll(async () => {
  const [unsound, stray] = [await unsoundStock(), await strayIds()];
  await mall.stop();
  expect([[...unsound], [...stray]]).toEqual([[], []]);
  expect(deadlocks).toBe(0);
});

const checkout = () => mall.client(InventoryService, { service: "checkout" });
const order = () => mall.client(InventoryService, { service: "order" });
const staff = () => mall.client(InventoryService, { service: "mall", idempotencyKey: crypto.randomUUID() });

const times = <T>(count: number, run: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => run(index));

const countOf = (reasons: readonly string[], wanted: string): number =>
  reasons.filter((reason) => reason === wanted).length;

let made = 0;

/** CSV of one product with a tracked variant a number. */
const csvOf = (handle: string, units: readonly number[]): string =>
  [
    "Handle,Title,Option1 Name,Option1 Value,Variant Inventory Tracker,Variant Inventory Qty,Variant Price",
    ...units.map((count, index) => `${handle},${handle},Size,${index},shopify,${count},10.00`),
  ].join("\n");

/** Puts a product on sale with so many units of each variant. */
async function sell(...units: number[]): Promise<{ handle: string; ids: string[] }> {
  const handle = `contended-${++made}`;
  await mall.client(ProductService, { service: "mall" }).importProducts({ csv: csvOf(handle, units) });
  const rows = await mall.db
    .sql`select v.id from product.variants v join product.products p on p.id = v.product_id
    where p.handle = ${handle} order by v.position`;
  return { handle, ids: rows.map((row) => idOf("var", row.id)) };
}

const inSeconds = (seconds: number) => timestampFromDate(new Date(mall.clock().getTime() + seconds * 1000));

interface Line {
  variantId: string;
  quantity: number;
}

const one = (variantId: string): Line => ({ variantId, quantity: 1 });

async function reserve(
  lines: Line[],
  seconds?: number,
  checkoutId: string = mall.newId("chk"),
  userId: string = "",
) {
  const expiresAt = seconds === undefined ? undefined : inSeconds(seconds);
  await checkout().reserveStock({ checkoutId, lines, expiresAt, userId });
  return checkoutId;
}

async function stockOf(variantId: string) {
  const { stock } = await staff().getStock({ variantId });
  return { onHand: stock!.onHand, reserved: stock!.reserved };
}

/** What became of the hold of a checkout: state, events in order, units sold for it and units it held. */
async function historyOf(checkoutId: string) {
  const [hold] = await mall.db.sql`select h.state, coalesce(jsonb_object_agg(l.variant_id, l.quantity)
      filter (where l.hold_id is not null), '{}') as lines
    from product.holds h left join product.hold_lines l on l.hold_id = h.id
    where h.checkout_id = ${uuidOf(checkoutId)} group by h.id`;
  const events = await mall.db
    .sql`select type from product.outbox where data->>'checkoutId' = ${checkoutId} order by sequence`;
  const [sold] = await mall.db
    .sql`select coalesce(jsonb_object_agg(variant_id, -delta) filter (where kind = 'sale'), '{}') as lines,
      coalesce(jsonb_object_agg(variant_id, delta) filter (where kind = 'restock'), '{}') as returned,
      count(*)::int as entries
    from product.stock_movements where reference = ${checkoutId}`;
  return {
    state: hold?.state as string | undefined,
    lines: hold?.lines as Record<string, number>,
    sold: sold!.lines as Record<string, number>,
    returned: sold!.returned as Record<string, number>,
    ledgerEntries: sold!.entries as number,
    events: events.map((event) => (event.type as string).replace("mall.product.v1.Stock", "")),
  };
}

/**
 * Fails unless the hold of a checkout began once, ended at most once, returned at most once, and left exactly the
 * traces of that.
 */
async function expectOneEnd(checkoutId: string): Promise<string> {
  const { state, lines, sold, returned, ledgerEntries, events } = await historyOf(checkoutId);
  const isBack = state === "released" || state === "expired";
  const wasSold = state === "claimed" || state === "returned";
  expect(events).toEqual(isBack ? ["Reserved", "Released"] : ["Reserved"]);
  expect(sold).toEqual(wasSold ? lines : {});
  expect(returned).toEqual(state === "returned" ? lines : {});
  const entries = Object.keys(lines).length * (state === "returned" ? 2 : wasSold ? 1 : 0);
  expect(ledgerEntries).toBe(entries);
  return state!;
}

describe("contended stock", () => {
  test("gives the last unit to exactly one of thirty", async () => {
    const { ids } = await sell(1);
    const reasons = await Promise.all(times(30, () => reasonOf(reserve([one(ids[0]!)]))));
    expect([countOf(reasons, ""), countOf(reasons, "OUT_OF_STOCK")]).toEqual([1, 29]);
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 1, reserved: 1 });
  });

  test("gives the unit of a hold that is due to exactly one of fifty, beside sweeps and late claims", async () => {
    const { ids } = await sell(1);
    const late = await reserve([one(ids[0]!)], 1);
    mall.clock.advance(1);
    const [reserves, sweeps, claims] = await Promise.all([
      Promise.all(times(50, () => reasonOf(reserve([one(ids[0]!)])))),
      Promise.all(times(5, () => reasonOf(mall.app.sweep()))),
      Promise.all(times(5, () => reasonOf(checkout().claimStock({ checkoutId: late })))),
    ]);
    expect([countOf(reserves, ""), countOf(reserves, "OUT_OF_STOCK")]).toEqual([1, 49]);
    expect(countOf(claims, "HOLD_EXPIRED")).toBe(5);
    expect(countOf(sweeps, "")).toBe(5);
    expect(await expectOneEnd(late)).toBe("expired");
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 1, reserved: 1 });
  });

  test("serves carts with the same variants in different orders without a deadlock", async () => {
    const { ids } = await sell(...times(6, () => 25));
    const turned = (by: number) => [...ids.slice(by % 6), ...ids.slice(0, by % 6)].map(one);
    const reasons = await Promise.all(
      times(40, (i) => reasonOf(reserve(i % 2 ? turned(i).reverse() : turned(i)))),
    );
    expect([countOf(reasons, ""), countOf(reasons, "OUT_OF_STOCK")]).toEqual([25, 15]);
    for (const id of ids) expect(await stockOf(id)).toEqual({ onHand: 25, reserved: 25 });
    expect(deadlocks).toBe(0);
  });

  test("is changed once by twenty requests with one key", async () => {
    const { ids } = await sell(5);
    const client = staff();
    const adjust = () => client.adjustStock({ variantId: ids[0]!, delta: -2 });
    const reasons = await Promise.all(times(20, () => reasonOf(adjust())));
    expect(countOf(reasons, "")).toBeGreaterThan(0);
    expect(countOf(reasons, "") + countOf(reasons, "IDEMPOTENCY_KEY_IN_FLIGHT")).toBe(20);
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 3, reserved: 0 });
  });

  test("is changed by one of twenty who saw the same version", async () => {
    const { ids } = await sell(5);
    const adjust = () => staff().adjustStock({ variantId: ids[0]!, delta: 1, expectedVersion: 1 });
    const reasons = await Promise.all(times(20, () => reasonOf(adjust())));
    expect([countOf(reasons, ""), countOf(reasons, "VERSION_MISMATCH")]).toEqual([1, 19]);
    expect((await stockOf(ids[0]!)).onHand).toBe(6);
  });
});

/**
 * Keeps everyone else from the stock of a variant until `meanwhile` has ended, which begins when so many wait. Each of
 * them, the lock and the watch take one of the five connections.
 */
async function whileLocked(
  variantId: string,
  waiting: readonly (() => Promise<unknown>)[],
  meanwhile: (sql: Sql) => Promise<unknown> = async () => undefined,
) {
  let waiters: Promise<unknown>[] = [];
  await mall.db.tx(async ({ sql }) => {
    await sql`select from product.stock where variant_id = ${uuidOf(variantId)} for update`;
    waiters = waiting.map((wait) => wait());
    for (let blocked = 0; blocked < waiting.length; ) {
      const [row] = await mall.db
        .sql`select count(distinct pid)::int as blocked from pg_locks where not granted`;
      blocked = row!.blocked;
    }
    await meanwhile(sql);
  });
  return Promise.all(waiters);
}

describe("a reservation that waits", () => {
  test("takes the units of a due hold that another ended meanwhile", async () => {
    const { ids } = await sell(5);
    const late = await reserve([{ variantId: ids[0]!, quantity: 5 }], 5);
    mall.clock.advance(5);
    const checkoutId = mall.newId("chk");
    await whileLocked(
      ids[0]!,
      [() => reserve([{ variantId: ids[0]!, quantity: 3 }], undefined, checkoutId)],
      async (sql) => {
        await sql`update product.holds set state = 'expired', ended_at = now() where checkout_id = ${uuidOf(late)}`;
        await sql`update product.stock set reserved = 0 where variant_id = ${uuidOf(ids[0]!)}`;
      },
    );
    expect((await historyOf(checkoutId)).events).toEqual(["Reserved"]);
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 5, reserved: 3 });
  });

  test("ends a due hold once with one that waits beside it", async () => {
    const { ids } = await sell(5, 5);
    const late = await reserve([{ variantId: ids[0]!, quantity: 5 }, one(ids[1]!)], 5);
    mall.clock.advance(5);
    await whileLocked(
      ids[0]!,
      times(3, () => () => reserve([one(ids[1]!), one(ids[0]!)])),
    );
    expect(await expectOneEnd(late)).toBe("expired");
    for (const id of ids) expect(await stockOf(id)).toEqual({ onHand: 5, reserved: 3 });
  });

  test("with two others for the unit that all of them saw gets it alone or not at all", async () => {
    const { ids } = await sell(5, 1);
    const buyers = times(3, () => () => reasonOf(reserve([one(ids[1]!), one(ids[0]!)])));
    const reasons = await whileLocked(ids[0]!, buyers);
    expect([...reasons].sort()).toEqual(["", "OUT_OF_STOCK", "OUT_OF_STOCK"]);
    expect([await stockOf(ids[0]!), await stockOf(ids[1]!)]).toEqual([
      { onHand: 5, reserved: 1 },
      { onHand: 1, reserved: 1 },
    ]);
  });

  test("beside two others of the same user is counted by them", async () => {
    const { ids } = await sell(900);
    const userId = mall.newId("usr");
    const lines = [{ variantId: ids[0]!, quantity: 200 }];
    const buyers = times(3, () => () => reasonOf(reserve(lines, 60, mall.newId("chk"), userId)));
    const reasons = await whileLocked(ids[0]!, buyers);
    expect([...reasons].sort()).toEqual(["", "", "HOLD_LIMIT_EXCEEDED"]);
    expect((await stockOf(ids[0]!)).reserved).toBe(400);
  });

  test("is not made by who finds nothing left", async () => {
    const { ids } = await sell(1);
    await reserve([one(ids[0]!)]);
    await whileLocked(ids[0]!, [], async () => {
      expect(await reasonOf(reserve([one(ids[0]!)]))).toBe("OUT_OF_STOCK");
    });
  });
});

describe("one hold", () => {
  test("comes of a checkout that reserves twenty times at once, whatever the lines", async () => {
    const { ids } = await sell(50, 50);
    const checkoutId = mall.newId("chk");
    const answers = await Promise.all(
      times(20, (i) => checkout().reserveStock({ checkoutId, lines: [one(ids[i % 2]!)] })),
    );
    expect(new Set(answers.map(({ holdId }) => holdId)).size).toBe(1);
    const reserved = (await stockOf(ids[0]!)).reserved + (await stockOf(ids[1]!)).reserved;
    expect(reserved).toBe(1);
    await expectOneEnd(checkoutId);
  });

  test("that another instance extends, its clock being behind, outlives the sweep that saw it due", async () => {
    const { ids } = await sell(5);
    const checkoutId = await reserve([one(ids[0]!)], 5);
    mall.clock.advance(5);
    await whileLocked(ids[0]!, [() => mall.app.sweep()], async () => {
      mall.clock.advance(-5);
      await checkout().extendStock({ checkoutId });
      mall.clock.advance(5);
    });
    expect(await expectOneEnd(checkoutId)).toBe("active");
    await checkout().claimStock({ checkoutId });
    expect(await expectOneEnd(checkoutId)).toBe("claimed");
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 4, reserved: 0 });
  });

  test("that comes due while its claim waits is decided by the time the claim came", async () => {
    const { ids } = await sell(5);
    const checkoutId = await reserve([one(ids[0]!)], 5);
    await whileLocked(ids[0]!, [() => checkout().claimStock({ checkoutId })], async () =>
      mall.clock.advance(5),
    );
    await mall.app.sweep();
    expect(await expectOneEnd(checkoutId)).toBe("claimed");
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 4, reserved: 0 });
  });

  test.each(times(4, (lead) => lead))(
    "ends one way when claim, release and expiry race, the %d-th ahead",
    async (lead) => {
      const { ids } = await sell(60, 60);
      const holds = await Promise.all(times(16, () => reserve([one(ids[1]!), one(ids[0]!)], 10)));
      const ends = [
        (checkoutId: string) => checkout().claimStock({ checkoutId }),
        (checkoutId: string) => checkout().releaseStock({ checkoutId }),
        () => mall.app.sweep(),
        async () => mall.clock.advance(1),
      ];
      const claims = await Promise.all(
        holds.map(async (checkoutId) => {
          const order = [...ends.slice(lead), ...ends.slice(0, lead)];
          const done = await Promise.all(order.map((end) => reasonOf(end(checkoutId))));
          return done[(ends.length - lead) % ends.length]!;
        }),
      );
      for (const [index, checkoutId] of holds.entries()) {
        const state = await expectOneEnd(checkoutId);
        expect(["claimed", "released", "expired"]).toContain(state);
        if (state === "claimed") expect(claims[index]).toBe("");
        else expect(["HOLD_ENDED", "HOLD_EXPIRED"]).toContain(claims[index]!);
      }
      const left = 60 - countOf(claims, "");
      for (const id of ids) expect(await stockOf(id)).toEqual({ onHand: left, reserved: 0 });
    },
  );
});

describe("an undo", () => {
  test("that races its reservation leaves nothing held, whoever is first", async () => {
    const { ids } = await sell(50, 50);
    const checkouts = times(24, () => mall.newId("chk"));
    const reasons = await Promise.all(
      checkouts.map(async (checkoutId, i) => {
        const deeds = [
          () => reserve([one(ids[1]!), one(ids[0]!)], undefined, checkoutId),
          () => (i % 3 ? checkout().releaseStock({ checkoutId }) : order().restockStock({ checkoutId })),
        ];
        const done = await Promise.all((i % 2 ? deeds : deeds.toReversed()).map((deed) => reasonOf(deed())));
        return done[i % 2 ? 0 : 1]!;
      }),
    );
    for (const [index, checkoutId] of checkouts.entries()) {
      expect(["HOLD_ENDED", ""]).toContain(reasons[index]!);
      const { state, events } = await historyOf(checkoutId);
      expect([state, events]).toEqual(["released", reasons[index] ? [] : ["Reserved", "Released"]]);
      expect(await reasonOf(reserve([one(ids[0]!)], undefined, checkoutId))).toBe("HOLD_ENDED");
    }
    for (const id of ids) expect(await stockOf(id)).toEqual({ onHand: 50, reserved: 0 });
  });

  test("that overtakes a reservation which waits for its stock keeps it from holding anything", async () => {
    const { ids } = await sell(5);
    const checkoutId = mall.newId("chk");
    const [reason] = await whileLocked(
      ids[0]!,
      [() => reasonOf(reserve([one(ids[0]!)], undefined, checkoutId))],
      () => checkout().releaseStock({ checkoutId }),
    );
    const { state, events } = await historyOf(checkoutId);
    expect([reason, state, events]).toEqual(["HOLD_ENDED", "released", []]);
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 5, reserved: 0 });
  });

  test.each(times(3, (lead) => lead))(
    "of an order returns sold units once when claim, restock and sweep race, the %d-th ahead",
    async (lead) => {
      const { ids } = await sell(40, 40);
      const holds = await Promise.all(times(16, () => reserve([one(ids[1]!), one(ids[0]!)], 10)));
      await Promise.all(
        holds.map(async (checkoutId) => {
          const deeds = [
            () => checkout().claimStock({ checkoutId }),
            () => order().restockStock({ checkoutId }),
            () => order().restockStock({ checkoutId }),
          ];
          const ordered = [...deeds.slice(lead), ...deeds.slice(0, lead)];
          const done = await Promise.all(ordered.map((deed) => reasonOf(deed())));
          const claim = done[(deeds.length - lead) % deeds.length]!;
          expect(["HOLD_ENDED", ""]).toContain(claim);
          const state = await expectOneEnd(checkoutId);
          expect(["released", "returned"]).toContain(state);
          if (state === "released") expect(claim).toBe("HOLD_ENDED");
        }),
      );
      for (const id of ids) expect(await stockOf(id)).toEqual({ onHand: 40, reserved: 0 });
    },
  );

  test("of a sale that is asked for twenty times at once returns the units once", async () => {
    const { ids } = await sell(5);
    const checkoutId = await reserve([{ variantId: ids[0]!, quantity: 3 }]);
    await checkout().claimStock({ checkoutId });
    await Promise.all(times(20, () => order().restockStock({ checkoutId })));
    expect(await expectOneEnd(checkoutId)).toBe("returned");
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 5, reserved: 0 });
  });
});

describe("the limit of a user", () => {
  test("is met to the unit by sixty checkouts at once, of different variants, and touches nobody else", async () => {
    const { ids } = await sell(...times(6, () => 2000));
    const [greedy, other] = [mall.newId("usr"), mall.newId("usr")];
    const buy = (userId: string, i: number) =>
      reasonOf(reserve([{ variantId: ids[i % 6]!, quantity: 30 }], 60, mall.newId("chk"), userId));
    const [reasons, others] = await Promise.all([
      Promise.all(times(60, (i) => buy(greedy, i))),
      Promise.all(times(16, (i) => buy(other, i))),
    ]);
    expect([countOf(reasons, ""), countOf(reasons, "HOLD_LIMIT_EXCEEDED")]).toEqual([16, 44]);
    expect(countOf(others, "")).toBe(16);
  });
});

describe("stock that falls low", () => {
  const lowOf = async (variantId: string) =>
    (
      await mall.db.sql`select sequence, (data->>'available')::int as available from product.outbox
        where type = 'mall.product.v1.StockLow' and subject = ${variantId} order by sequence`
    ).map((row) => [row.sequence, row.available]);

  test("is announced by exactly one of forty, each time it crosses the threshold", async () => {
    const { ids } = await sell(40);
    const [id] = ids as [string];
    for (let round = 1; round <= 3; round++) {
      const holds = await Promise.all(times(40, () => reserve([one(id)])));
      expect(await lowOf(id)).toEqual(times(round, (i) => [i + 1, 5]));
      await Promise.all(holds.map((checkoutId) => checkout().releaseStock({ checkoutId })));
    }
  });

  test("is announced once when reservations, adjustments and due holds race over the threshold", async () => {
    const { ids } = await sell(60, 60);
    const [id, other] = ids as [string, string];
    await Promise.all(times(10, () => reserve([{ variantId: id, quantity: 5 }, one(other)], 5)));
    expect(await lowOf(id)).toEqual([]);
    mall.clock.advance(5);
    await Promise.all([
      ...times(25, () => reserve([{ variantId: id, quantity: 2 }])),
      ...times(10, () => staff().adjustStock({ variantId: id, delta: -1 })),
    ]);
    expect(await stockOf(id)).toEqual({ onHand: 50, reserved: 50 });
    expect((await lowOf(id)).length).toBe(1);
  });
});

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Decisions drawn from one seed. */
function dice(seed: number) {
  const random = randomOf(seed);
  const upTo = (max: number) => Math.floor(random() * max) + 1;
  const shuffled = <T>(items: readonly T[]): T[] => {
    const rest = [...items];
    return times(rest.length, () => rest.splice(upTo(rest.length) - 1, 1)[0]!);
  };
  return { upTo, shuffled, pick: <T>(items: readonly T[]): T => items[upTo(items.length) - 1]! };
}

type Dice = ReturnType<typeof dice>;

/** What was asked of a hold and answered with success. */
interface Deeds {
  checkoutId: string;
  wasClaimed: boolean;
  wasReleased: boolean;
}

/** One checkout of the storm: it reserves, and then does up to three things to its hold at once. */
async function storm(ids: readonly string[], roll: Dice, reasons: Set<string>): Promise<Deeds | undefined> {
  const lines = roll
    .shuffled(ids)
    .slice(0, roll.upTo(ids.length))
    .map((variantId) => ({ variantId, quantity: roll.upTo(3) }));
  const attempt = async (work: Promise<unknown>) => {
    const reason = await reasonOf(work);
    if (reason !== "") reasons.add(reason);
    return reason === "";
  };
  const checkoutId = mall.newId("chk");
  const actions: Record<string, () => Promise<unknown>> = {
    claim: () => checkout().claimStock({ checkoutId }),
    release: () => checkout().releaseStock({ checkoutId }),
    extend: () => checkout().extendStock({ checkoutId, expiresAt: inSeconds(2) }),
    pin: () => checkout().extendStock({ checkoutId }),
    restock: () => order().restockStock({ checkoutId }),
    again: () => reserve(lines.toReversed(), 60, checkoutId),
    expire: async () => mall.clock.advance(1),
    sweep: () => mall.app.sweep(),
    adjust: () => staff().adjustStock({ variantId: roll.pick(ids), delta: roll.pick([-3, -1, 2, 4]) }),
  };
  const chosen = roll.shuffled(Object.keys(actions)).slice(0, roll.upTo(4));
  if (!(await attempt(reserve(lines, roll.pick([1, 2, 60]), checkoutId)))) return undefined;
  const done = await Promise.all(chosen.map((name) => attempt(actions[name]!())));
  const did = (name: string) => chosen.some((other, index) => other === name && done[index]!);
  return { checkoutId, wasClaimed: did("claim"), wasReleased: did("release") };
}

/** What the reconciliation finds while everything goes on: nothing. */
async function differences(): Promise<unknown[]> {
  const found: unknown[] = [];
  for (let pageToken = ""; ; ) {
    const page = await mall.client(InventoryService, { service: "mall" }).reconcileStock({ pageToken });
    found.push(...page.differences);
    pageToken = page.nextPageToken;
    if (pageToken === "") return found;
  }
}

describe("a storm of everything at once", () => {
  test.each([11, 23, 47, 229, 446, 1009, 4711, 8128])(
    "keeps every unit accounted for (seed %d)",
    async (seed) => {
      const { handle, ids } = await sell(30, 30, 30);
      const roll = dice(seed);
      const reasons = new Set<string>();
      let isOver = false;
      const sampling = async (sample: () => Promise<readonly unknown[]>) => {
        for (let count = 1; ; count++) {
          expect([...(await sample())]).toEqual([]);
          if (isOver) return count;
        }
      };
      const samples = Promise.all([sampling(unsoundStock), sampling(differences)]);
      const recount = async () => {
        const csv = csvOf(handle, [roll.upTo(40), roll.upTo(40), roll.upTo(40)]);
        await mall.client(ProductService, { service: "mall" }).importProducts({ csv, setStock: true });
      };
      const deeds = await Promise.all([
        ...times(40, () => storm(ids, roll, reasons)),
        ...times(3, () => recount().then(() => undefined)),
      ]);
      isOver = true;
      expect(Math.min(...(await samples))).toBeGreaterThan(1);
      for (const reason of reasons) expect(["OUT_OF_STOCK", "HOLD_ENDED", "HOLD_EXPIRED"]).toContain(reason);
      const held = deeds.filter((deed) => deed !== undefined);
      expect(held.length).toBeGreaterThan(5);
      for (const { checkoutId, wasClaimed } of held) {
        const state = await expectOneEnd(checkoutId);
        expect(state === "claimed" || state === "returned").toBe(wasClaimed);
      }
      mall.clock.advance(120);
      await mall.app.sweep();
      for (const { checkoutId } of held) await expectOneEnd(checkoutId);
      expect(deadlocks).toBe(0);
    },
  );
});
