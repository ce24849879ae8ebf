import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { type Db, databaseCode } from "@mall/kernel/db/client";
import { faultInfo } from "@mall/kernel/fault";
import { idOf, uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
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

/** Variants whose figures do not follow from ledger and holds, or are negative: there is never one. */
const unsoundStock = () => mall.db.sql`
  select s.* from product.stock s
  where s.on_hand < 0 or s.reserved < 0 or s.on_hand < s.reserved
    or s.on_hand <> (select coalesce(sum(delta), 0) from product.stock_movements m where m.variant_id = s.variant_id)
    or s.reserved <> (select coalesce(sum(l.quantity), 0) from product.hold_lines l
      join product.holds h on h.id = l.hold_id where l.variant_id = s.variant_id and h.state = 'active')`;

afterAll(async () => {
  const unsound = await unsoundStock();
  await mall.stop();
  expect([...unsound]).toEqual([]);
  expect(deadlocks).toBe(0);
});

const checkout = () => mall.client(InventoryService, { service: "checkout" });
const staff = () => mall.client(InventoryService, { service: "mall", idempotencyKey: crypto.randomUUID() });

/** Reason of the refusal, its message for a bug; undefined when there is none. */
const reasonOf = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: unknown) => faultInfo(error)?.reason ?? String(error),
  );

const times = <T>(count: number, run: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => run(index));

const countOf = (reasons: readonly (string | undefined)[], wanted: string | undefined): number =>
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

async function reserve(lines: Line[], seconds?: number, checkoutId: string = mall.newId("chk")) {
  const expiresAt = seconds === undefined ? undefined : inSeconds(seconds);
  await checkout().reserveStock({ checkoutId, lines, expiresAt });
  return checkoutId;
}

async function stockOf(variantId: string) {
  const { stock } = await staff().getStock({ variantId });
  return { onHand: stock!.onHand, reserved: stock!.reserved };
}

/** What became of the hold of a checkout: state, events in order, units sold for it and units it held. */
async function historyOf(checkoutId: string) {
  const [hold] = await mall.db
    .sql`select h.state, coalesce(jsonb_object_agg(l.variant_id, l.quantity), '{}') as lines
    from product.holds h left join product.hold_lines l on l.hold_id = h.id
    where h.checkout_id = ${uuidOf(checkoutId)} group by h.id`;
  const events = await mall.db
    .sql`select type from product.outbox where data->>'checkoutId' = ${checkoutId} order by sequence`;
  const [sold] = await mall.db
    .sql`select coalesce(jsonb_object_agg(variant_id, -delta), '{}') as lines, count(*)::int as entries
    from product.stock_movements where reference = ${checkoutId}`;
  return {
    state: hold?.state as string | undefined,
    lines: hold?.lines as Record<string, number>,
    sold: sold!.lines as Record<string, number>,
    ledgerEntries: sold!.entries as number,
    events: events.map((event) => (event.type as string).replace("mall.product.v1.Stock", "")),
  };
}

/** Fails unless the hold of a checkout began once, ended at most once, and left exactly the traces of its end. */
async function expectOneEnd(checkoutId: string): Promise<string> {
  const { state, lines, sold, ledgerEntries, events } = await historyOf(checkoutId);
  const isBack = state === "released" || state === "expired";
  expect(events).toEqual(isBack ? ["Reserved", "Released"] : ["Reserved"]);
  expect(sold).toEqual(state === "claimed" ? lines : {});
  expect(ledgerEntries).toBe(state === "claimed" ? Object.keys(lines).length : 0);
  return state!;
}

describe("contended stock", () => {
  test("gives the last unit to exactly one of thirty", async () => {
    const { ids } = await sell(1);
    const reasons = await Promise.all(times(30, () => reasonOf(reserve([one(ids[0]!)]))));
    expect([countOf(reasons, undefined), countOf(reasons, "OUT_OF_STOCK")]).toEqual([1, 29]);
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
    expect([countOf(reserves, undefined), countOf(reserves, "OUT_OF_STOCK")]).toEqual([1, 49]);
    expect(countOf(claims, "HOLD_EXPIRED")).toBe(5);
    expect(countOf(sweeps, undefined)).toBe(5);
    expect(await expectOneEnd(late)).toBe("expired");
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 1, reserved: 1 });
  });

  test("serves carts with the same variants in different orders without a deadlock", async () => {
    const { ids } = await sell(...times(6, () => 25));
    const turned = (by: number) => [...ids.slice(by % 6), ...ids.slice(0, by % 6)].map(one);
    const reasons = await Promise.all(
      times(40, (i) => reasonOf(reserve(i % 2 ? turned(i).reverse() : turned(i)))),
    );
    expect([countOf(reasons, undefined), countOf(reasons, "OUT_OF_STOCK")]).toEqual([25, 15]);
    for (const id of ids) expect(await stockOf(id)).toEqual({ onHand: 25, reserved: 25 });
    expect(deadlocks).toBe(0);
  });

  test("is changed once by twenty requests with one key", async () => {
    const { ids } = await sell(5);
    const client = staff();
    const adjust = () => client.adjustStock({ variantId: ids[0]!, delta: -2 });
    const answers = await Promise.all(times(20, adjust));
    expect(new Set(answers.map(({ stock }) => stock!.onHand))).toEqual(new Set([3]));
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 3, reserved: 0 });
  });

  test("is changed by one of twenty who saw the same version", async () => {
    const { ids } = await sell(5);
    const adjust = () => staff().adjustStock({ variantId: ids[0]!, delta: 1, expectedVersion: 1 });
    const reasons = await Promise.all(times(20, () => reasonOf(adjust())));
    expect([countOf(reasons, undefined), countOf(reasons, "VERSION_MISMATCH")]).toEqual([1, 19]);
    expect((await stockOf(ids[0]!)).onHand).toBe(6);
  });
});

/** Keeps everyone else from the stock of a variant until `meanwhile`, which others wait for, has ended. */
async function whileLocked(
  variantId: string,
  waiting: () => Promise<unknown>,
  meanwhile: () => Promise<unknown>,
) {
  let waiter: Promise<unknown> | undefined;
  await mall.db.tx(async ({ sql }) => {
    const [{ pid }] = (await sql`select pg_backend_pid() as pid from product.stock
      where variant_id = ${uuidOf(variantId)} for update`) as unknown as [{ pid: number }];
    waiter = waiting();
    for (let isBlocked = false; !isBlocked; ) {
      const [row] = await mall.db.sql`select exists (select from pg_locks where not granted
        and ${pid}::int = any(pg_blocking_pids(pid))) as blocked`;
      isBlocked = row!.blocked;
    }
    await meanwhile();
  });
  await waiter;
}

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
    await whileLocked(
      ids[0]!,
      () => mall.app.sweep(),
      async () => {
        mall.clock.advance(-5);
        await checkout().extendStock({ checkoutId });
        mall.clock.advance(5);
      },
    );
    expect(await expectOneEnd(checkoutId)).toBe("active");
    await checkout().claimStock({ checkoutId });
    expect(await expectOneEnd(checkoutId)).toBe("claimed");
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 4, reserved: 0 });
  });

  test("that comes due while its claim waits is decided by the time the claim came", async () => {
    const { ids } = await sell(5);
    const checkoutId = await reserve([one(ids[0]!)], 5);
    await whileLocked(
      ids[0]!,
      () => checkout().claimStock({ checkoutId }),
      async () => mall.clock.advance(5),
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
          return done[(ends.length - lead) % ends.length];
        }),
      );
      for (const [index, checkoutId] of holds.entries()) {
        const state = await expectOneEnd(checkoutId);
        expect(["claimed", "released", "expired"]).toContain(state);
        expect(claims[index]).toBe(state === "claimed" ? undefined : "HOLD_EXPIRED");
      }
      const left = 60 - countOf(claims, undefined);
      for (const id of ids) expect(await stockOf(id)).toEqual({ onHand: left, reserved: 0 });
    },
  );
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
    if (reason !== undefined) reasons.add(reason);
    return reason === undefined;
  };
  const checkoutId = mall.newId("chk");
  const actions: Record<string, () => Promise<unknown>> = {
    claim: () => checkout().claimStock({ checkoutId }),
    release: () => checkout().releaseStock({ checkoutId }),
    extend: () => checkout().extendStock({ checkoutId, expiresAt: inSeconds(2) }),
    pin: () => checkout().extendStock({ checkoutId }),
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

describe("a storm of everything at once", () => {
  test.each([11, 23, 47, 1009])("keeps every unit accounted for (seed %d)", async (seed) => {
    const { handle, ids } = await sell(30, 30, 30);
    const roll = dice(seed);
    const reasons = new Set<string>();
    let isOver = false;
    const samples = (async () => {
      for (let count = 1; ; count++) {
        expect([...(await unsoundStock())]).toEqual([]);
        if (isOver) return count;
      }
    })();
    const recount = async () => {
      const csv = csvOf(handle, [roll.upTo(40), roll.upTo(40), roll.upTo(40)]);
      await mall.client(ProductService, { service: "mall" }).importProducts({ csv, setStock: true });
    };
    const deeds = await Promise.all([
      ...times(40, () => storm(ids, roll, reasons)),
      ...times(3, () => recount().then(() => undefined)),
    ]);
    isOver = true;
    expect(await samples).toBeGreaterThan(3);
    for (const reason of reasons) expect(["OUT_OF_STOCK", "HOLD_EXPIRED"]).toContain(reason);
    const held = deeds.filter((deed) => deed !== undefined);
    expect(held.length).toBeGreaterThan(5);
    for (const { checkoutId, wasClaimed } of held) {
      const state = await expectOneEnd(checkoutId);
      expect(state === "claimed").toBe(wasClaimed);
    }
    mall.clock.advance(120);
    await mall.app.sweep();
    for (const { checkoutId } of held) await expectOneEnd(checkoutId);
    expect(deadlocks).toBe(0);
  });
});
