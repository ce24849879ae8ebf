import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { InventoryService, MovementKind } from "@mall/gen/mall/product/v1/inventory_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { faultInfo } from "@mall/kernel/fault";
import { idOf, uuidOf } from "@mall/kernel/id";
import { type As, type Harness, harness } from "@mall/kernel/testing/harness";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { createProductCommands, createProductService } from "./service";

let mall: Harness;
let commands: ReturnType<typeof createProductCommands>;

beforeAll(async () => {
  const env = { HOLD_UNITS_PER_USER: "10", LOW_STOCK_THRESHOLD: "3" };
  const create = (resources: Parameters<typeof createProductService>[0]) => {
    commands = createProductCommands(resources);
    return createProductService(resources);
  };
  mall = await harness("product", create, { env });
});
afterAll(() => mall.stop());

const warehouse = (as: As = { service: "mall" }) =>
  mall.client(InventoryService, { idempotencyKey: crypto.randomUUID(), ...as });
const checkout = () => mall.client(InventoryService, { service: "checkout" });
const order = () => mall.client(InventoryService, { service: "order" });

let made = 0;

/** Imports a product with so many units of each variant; a number less than nothing is a variant that is not counted. */
async function stockUp(handle: string, units: readonly number[], setStock = false): Promise<void> {
  const csv = [
    "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Price",
    ...units.map(
      (count, i) =>
        `${handle},${handle},Size,${i},${handle}-${i},${count < 0 ? "" : "shopify"},${Math.max(count, 0)},10.00`,
    ),
  ].join("\n");
  await mall.client(ProductService, { service: "mall" }).importProducts({ csv, setStock });
}

async function sell(...units: number[]): Promise<{ handle: string; ids: string[] }> {
  const handle = `stocked-${++made}`;
  await stockUp(handle, units);
  const rows = await mall.db
    .sql`select v.id from product.variants v join product.products p on p.id = v.product_id
    where p.handle = ${handle} order by v.position`;
  return { handle, ids: rows.map((row) => idOf("var", row.id)) };
}

const inSeconds = (seconds: number) => timestampFromDate(new Date(mall.clock().getTime() + seconds * 1000));

interface Reserving {
  checkoutId?: string;
  seconds?: number;
  userId?: string;
}

async function reserve(lines: Record<string, number>, over: Reserving = {}): Promise<string> {
  const checkoutId = over.checkoutId ?? mall.newId("chk");
  await checkout().reserveStock({
    checkoutId,
    lines: Object.entries(lines).map(([variantId, quantity]) => ({ variantId, quantity })),
    expiresAt: over.seconds === undefined ? undefined : inSeconds(over.seconds),
    userId: over.userId ?? "",
  });
  return checkoutId;
}

const stockOf = async (variantId: string): Promise<[onHand: number, reserved: number]> => {
  const { stock } = await warehouse().getStock({ variantId });
  return [stock!.onHand, stock!.reserved];
};

const stateOf = async (checkoutId: string): Promise<string | undefined> =>
  (await mall.db.sql`select state from product.holds where checkout_id = ${uuidOf(checkoutId)}`)[0]?.state;

const eventsAbout = async (subject: string) =>
  (
    await mall.db.sql`select type, sequence, data::text as data from product.outbox
      where subject = ${subject} order by created_at, sequence`
  ).map((row) => [row.type.replace("mall.product.v1.", ""), row.sequence, JSON.parse(row.data)]);

const ledgerOf = async (variantId: string) =>
  (await warehouse().listMovements({ variantId })).movements.map(({ kind, delta, reference }) => [
    ...[MovementKind[kind], delta, reference],
  ]);

describe("units of a cancelled order", () => {
  test("return to the shelf once when they were sold, with the ledger kept", async () => {
    const { ids } = await sell(5, 5);
    const [one, two] = ids as [string, string];
    const checkoutId = await reserve({ [one]: 2, [two]: 1 });
    await checkout().claimStock({ checkoutId });
    await order().restockStock({ checkoutId });
    await order().restockStock({ checkoutId });
    expect([await stockOf(one), await stockOf(two)]).toEqual([
      [5, 0],
      [5, 0],
    ]);
    expect(await stateOf(checkoutId)).toBe("returned");
    expect(await ledgerOf(one)).toEqual(
      expect.arrayContaining([
        ["RESTOCK", 2, checkoutId],
        ["SALE", -2, checkoutId],
      ]),
    );
    expect(await reasonOf(checkout().claimStock({ checkoutId }))).toBe("HOLD_ENDED");
    expect(await reasonOf(checkout().extendStock({ checkoutId }))).toBe("HOLD_ENDED");
    expect(await reasonOf(reserve({ [one]: 2 }, { checkoutId }))).toBe("HOLD_ENDED");
    await checkout().releaseStock({ checkoutId });
    expect([await stockOf(one), await stateOf(checkoutId)]).toEqual([[5, 0], "returned"]);
  });

  test("are released when they are only held, due or not", async () => {
    const { ids } = await sell(9);
    const [kept, late] = [await reserve({ [ids[0]!]: 2 }), await reserve({ [ids[0]!]: 3 }, { seconds: 5 })];
    mall.clock.advance(5);
    for (const checkoutId of [kept, late]) {
      await order().restockStock({ checkoutId });
      expect(await stateOf(checkoutId)).toBe("released");
      expect(await eventsAbout(checkoutId)).toEqual([
        ["StockReserved", 1, { checkoutId }],
        ["StockReleased", 2, { checkoutId }],
      ]);
      expect(await reasonOf(checkout().claimStock({ checkoutId }))).toBe("HOLD_ENDED");
    }
    expect(await stockOf(ids[0]!)).toEqual([9, 0]);
  });

  test("that came back otherwise are left alone", async () => {
    const { ids } = await sell(9);
    const [released, expired] = [
      await reserve({ [ids[0]!]: 2 }),
      await reserve({ [ids[0]!]: 3 }, { seconds: 5 }),
    ];
    await checkout().releaseStock({ checkoutId: released });
    mall.clock.advance(5);
    await mall.app.sweep();
    for (const checkoutId of [released, expired]) await order().restockStock({ checkoutId });
    expect([await stateOf(released), await stateOf(expired)]).toEqual(["released", "expired"]);
    expect(await stockOf(ids[0]!)).toEqual([9, 0]);
  });

  test("are taken back by the order service only", async () => {
    const asked = { checkoutId: mall.newId("chk") };
    for (const as of [
      {},
      { service: "checkout" as const },
      { user: { id: mall.newId("usr"), roles: ["admin"] } },
    ]) {
      expect(await reasonOf(mall.client(InventoryService, as).restockStock(asked))).toBe("FORBIDDEN");
    }
    expect(await stateOf(asked.checkoutId)).toBeUndefined();
  });
});

describe("a reservation that was overtaken", () => {
  test.each([
    ["its release", (checkoutId: string) => checkout().releaseStock({ checkoutId })],
    ["the order's cancellation", (checkoutId: string) => order().restockStock({ checkoutId })],
  ])("by %s holds nothing, ever", async (_, undo) => {
    const { ids } = await sell(5);
    const checkoutId = mall.newId("chk");
    await undo(checkoutId);
    await undo(checkoutId);
    for (const seconds of [undefined, 60])
      expect(await reasonOf(reserve({ [ids[0]!]: 1 }, { checkoutId, seconds }))).toBe("HOLD_ENDED");
    expect(await reasonOf(checkout().claimStock({ checkoutId }))).toBe("HOLD_ENDED");
    expect(await reasonOf(checkout().extendStock({ checkoutId }))).toBe("HOLD_ENDED");
    expect([await stateOf(checkoutId), await eventsAbout(checkoutId)]).toEqual(["released", []]);
    expect(await stockOf(ids[0]!)).toEqual([5, 0]);
  });
});

describe("a user", () => {
  test("holds no more unpaid units than one may, and can go on when some are paid, gone or given back", async () => {
    const { ids } = await sell(100);
    const userId = mall.newId("usr");
    const hold = (quantity: number, seconds?: number) =>
      reserve({ [ids[0]!]: quantity }, { userId, seconds });
    const [paid, short] = [await hold(3, 600), await hold(4, 5)];
    const back = await hold(2, 600);
    expect(await reasonOf(hold(2, 600))).toBe("HOLD_LIMIT_EXCEEDED");
    await hold(1, 600);
    expect(await reasonOf(hold(1, 600))).toBe("HOLD_LIMIT_EXCEEDED");
    const pinned = await hold(50);
    await checkout().claimStock({ checkoutId: paid });
    await hold(3, 600);
    expect(await reasonOf(hold(1, 600))).toBe("HOLD_LIMIT_EXCEEDED");
    await checkout().releaseStock({ checkoutId: back });
    await hold(2, 600);
    expect(await reasonOf(hold(1, 600))).toBe("HOLD_LIMIT_EXCEEDED");
    mall.clock.advance(5);
    await hold(4, 600);
    expect(await reasonOf(hold(1, 600))).toBe("HOLD_LIMIT_EXCEEDED");
    expect([await stateOf(pinned), await stateOf(short)]).toEqual(["active", "expired"]);
    await reserve({ [ids[0]!]: 11 }, { userId: mall.newId("usr") });
    await reserve({ [ids[0]!]: 11 }, { seconds: 60 });
  });

  test("is told the limit, and is not limited in what is not counted", async () => {
    const { ids } = await sell(100, -1);
    const userId = mall.newId("usr");
    await reserve({ [ids[1]!]: 99 }, { userId, seconds: 60 });
    await reserve({ [ids[1]!]: 99, [ids[0]!]: 10 }, { userId, seconds: 60 });
    const error = await reserve({ [ids[0]!]: 1 }, { userId, seconds: 60 }).catch((e: unknown) => e);
    expect(faultInfo(error)).toMatchObject({
      reason: "HOLD_LIMIT_EXCEEDED",
      metadata: { held: "10", limit: "10" },
    });
  });

  test("gets the same hold again at the limit", async () => {
    const { ids } = await sell(100);
    const over = { userId: mall.newId("usr"), seconds: 60, checkoutId: mall.newId("chk") };
    await reserve({ [ids[0]!]: 10 }, over);
    await reserve({ [ids[0]!]: 10 }, over);
    expect(await stockOf(ids[0]!)).toEqual([100, 10]);
  });
});

describe("stock that falls low", () => {
  const lowOf = async (variantId: string) =>
    (await eventsAbout(variantId)).map(([, sequence, data]) => [sequence, data.available]);

  test("is announced when a reservation takes it to the threshold, not again below it", async () => {
    const { ids } = await sell(6, 100, 6);
    const [few, many, other] = ids as [string, string, string];
    await reserve({ [few]: 2, [many]: 1 });
    expect(await lowOf(few)).toEqual([]);
    await reserve({ [few]: 1, [many]: 1, [other]: 4 });
    await reserve({ [few]: 1 });
    const about = (variantId: string, available: number) => [["StockLow", 1, { variantId, available }]];
    expect(await eventsAbout(few)).toEqual(about(few, 3));
    expect(await eventsAbout(other)).toEqual(about(other, 2));
    expect(await lowOf(many)).toEqual([]);
  });

  test("is announced again after it rose, by whatever made it rise", async () => {
    const { ids } = await sell(5);
    const [id] = ids as [string];
    const first = await reserve({ [id]: 2 });
    await checkout().releaseStock({ checkoutId: first });
    const second = await reserve({ [id]: 4 }, { seconds: 5 });
    mall.clock.advance(5);
    const third = await reserve({ [id]: 5 });
    expect(await eventsAbout(second)).toEqual([
      ["StockReserved", 1, { checkoutId: second }],
      ["StockReleased", 2, { checkoutId: second }],
    ]);
    await warehouse().receiveStock({ variantId: id, quantity: 9 });
    await checkout().claimStock({ checkoutId: third });
    await warehouse().adjustStock({ variantId: id, delta: -6 });
    await warehouse().adjustStock({ variantId: id, delta: -1 });
    await order().restockStock({ checkoutId: third });
    await warehouse().adjustStock({ variantId: id, delta: -7 });
    expect(await lowOf(id)).toEqual([
      [1, 3],
      [2, 1],
      [3, 0],
      [4, 3],
      [5, 0],
    ]);
  });

  test("is announced when it is set, from the command line or by an import", async () => {
    const { handle, ids } = await sell(9, 9, 2);
    await commands.setStock(`${handle}-0`, 3);
    expect(await lowOf(ids[0]!)).toEqual([[1, 3]]);
    await stockUp(handle, [5, 1, 1]);
    expect(await lowOf(ids[1]!)).toEqual([]);
    await stockUp(handle, [5, 1, 1], true);
    await stockUp(handle, [2, 0, 0], true);
    expect(await lowOf(ids[0]!)).toEqual([
      [1, 3],
      [2, 2],
    ]);
    expect(await lowOf(ids[1]!)).toEqual([[1, 1]]);
    expect(await lowOf(ids[2]!)).toEqual([]);
  });

  test("is not announced for a reservation that was refused, or a variant that is not counted", async () => {
    const { ids } = await sell(5, 1, -1);
    await reasonOf(reserve({ [ids[0]!]: 4, [ids[1]!]: 2 }));
    await reserve({ [ids[2]!]: 9 });
    expect([await lowOf(ids[0]!), await lowOf(ids[2]!)]).toEqual([[], []]);
  });
});

describe("the ledger of a variant", () => {
  test("is listed newest first, page by page without a gap", async () => {
    const { ids } = await sell(5);
    const variantId = ids[0]!;
    for (let i = 1; i <= 6; i++) {
      mall.clock.advance(1);
      await warehouse().receiveStock({ variantId, quantity: i, note: `delivery ${i}` });
    }
    const all = (await warehouse().listMovements({ variantId, pageSize: 100 })).movements;
    expect(all.map(({ delta }) => delta)).toEqual([6, 5, 4, 3, 2, 1, 5]);
    expect(all[0]).toMatchObject({ kind: MovementKind.RECEIVE, note: "delivery 6", reference: "" });
    expect(all[6]!.kind).toBe(MovementKind.IMPORT);
    expect(timestampDate(all[0]!.at!)).toEqual(mall.clock());
    const paged: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await warehouse().listMovements({ variantId, pageSize: 3, pageToken });
      paged.push(...page.movements.map(({ id }) => id));
      if (paged.length === 3) await warehouse().receiveStock({ variantId, quantity: 9 });
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    expect(paged).toEqual(all.map(({ id }) => id));
  });

  test("is for staff, of variants that exist, by page tokens of its own", async () => {
    const { ids } = await sell(5, 5);
    const [one, two] = ids as [string, string];
    const as = (roles: string[]) => warehouse({ user: { id: mall.newId("usr"), roles } });
    expect(await reasonOf(as(["staff"]).listMovements({ variantId: one }))).toBe("");
    expect(await reasonOf(as(["customer"]).listMovements({ variantId: one }))).toBe("FORBIDDEN");
    expect(await reasonOf(warehouse({}).listMovements({ variantId: one }))).toBe("UNAUTHENTICATED");
    expect(await reasonOf(warehouse().listMovements({ variantId: mall.newId("var") }))).toBe(
      "VARIANT_NOT_FOUND",
    );
    await warehouse().receiveStock({ variantId: one, quantity: 1 });
    const { nextPageToken } = await warehouse().listMovements({ variantId: one, pageSize: 1 });
    expect(nextPageToken).not.toBe("");
    const digest = Buffer.from(nextPageToken, "base64url").toString().slice(0, 12);
    const broken = Buffer.from(`${digest}' or true`).toString("base64url");
    for (const [variantId, pageToken] of [
      [two, nextPageToken],
      [one, broken],
      [one, "garbage"],
    ])
      expect(await reasonOf(warehouse().listMovements({ variantId, pageToken }))).toBe("VALIDATION");
  });

  test("is empty for a variant that never had a unit", async () => {
    const { ids } = await sell(0);
    expect(await warehouse().listMovements({ variantId: ids[0]! })).toMatchObject({
      movements: [],
      nextPageToken: "",
    });
  });
});

describe("a reconciliation", () => {
  /** Does what only the owner of the tables may. */
  const asOwner = (statement: string) =>
    mall.db.tx(async ({ sql }) => {
      await sql.unsafe("set local role none");
      await sql.unsafe(statement);
    });

  async function reconcile() {
    const found = [];
    let checked = 0;
    for (let pageToken = ""; ; ) {
      const page = await warehouse().reconcileStock({ pageToken });
      checked += page.checked;
      found.push(...page.differences.map((d) => [d.variantId, d.field, d.recorded, d.recomputed]));
      pageToken = page.nextPageToken;
      if (pageToken === "") return { checked, found };
    }
  }

  test("finds what was tampered with: stock, holds and ledger", async () => {
    const { ids } = await sell(5, 5, 5, 5, -1);
    const [stock, reserved, ledger, hold] = ids as [string, string, string, string];
    await reserve({ [reserved]: 2, [hold]: 2 });
    const before = await reconcile();
    expect(before.found).toEqual([]);
    const [tracked] = await mall.db.sql`select count(*)::int as count from product.stock where tracked`;
    expect(before.checked).toBe(tracked!.count);
    await asOwner(`update product.stock set on_hand = 7 where variant_id = '${uuidOf(stock)}'`);
    await asOwner(`update product.stock set reserved = 0 where variant_id = '${uuidOf(reserved)}'`);
    await asOwner(`delete from product.stock_movements where variant_id = '${uuidOf(ledger)}'`);
    await asOwner(`update product.hold_lines set quantity = 3 where variant_id = '${uuidOf(hold)}'`);
    const { found } = await reconcile();
    const differences = [
      [stock, "on_hand", 7, 5],
      [reserved, "reserved", 0, 2],
      [ledger, "on_hand", 5, 0],
      [hold, "reserved", 2, 3],
    ];
    expect(found.sort()).toEqual(differences.sort());
    await asOwner(`update product.stock set on_hand = 5 where variant_id = '${uuidOf(stock)}'`);
    await asOwner(`update product.stock set reserved = 2 where variant_id = '${uuidOf(reserved)}'`);
    await asOwner(`insert into product.stock_movements (id, variant_id, kind, delta, at)
      values (gen_random_uuid(), '${uuidOf(ledger)}', 'import', 5, now())`);
    await asOwner(`update product.hold_lines set quantity = 2 where variant_id = '${uuidOf(hold)}'`);
    expect(await reconcile()).toEqual(before);
  });

  test("goes through every tracked variant once, however many there are", async () => {
    for (let i = 0; i < 5; i++) await sell(...Array<number>(90).fill(1));
    const [tracked] = await mall.db.sql`select count(*)::int as count from product.stock where tracked`;
    expect(tracked!.count).toBeGreaterThan(400);
    expect(await reconcile()).toEqual({ checked: tracked!.count, found: [] });
  });

  test("is for the command line only", async () => {
    for (const as of [
      {},
      { service: "order" as const },
      { user: { id: mall.newId("usr"), roles: ["admin"] } },
    ])
      expect(await reasonOf(warehouse(as).reconcileStock({}))).toBe("FORBIDDEN");
  });
});
