import { describe, expect, test } from "bun:test";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { faultInfo } from "@mall/kernel/fault";
import { uuidOf } from "@mall/kernel/id";
import type { As } from "@mall/kernel/testing/harness";
import { refusal } from "@mall/kernel/testing/refusal";
import { productSuite } from "./testing";

const {
  read,
  sell,
  post,
  warehouse,
  keyed,
  checkout,
  inSeconds,
  stockOf,
  reserve,
  holdOf,
  eventsAbout,
  unsoundStock,
  mall,
  commands,
  statementsOf,
} = productSuite();

describe("stock", () => {
  test("is received and adjusted, with the ledger kept", async () => {
    const { ids } = await sell(5);
    const variantId = ids[0]!;
    const received = await keyed().receiveStock({ variantId, quantity: 7, note: "delivery" });
    expect(received.stock).toMatchObject({ variantId, onHand: 12, reserved: 0, available: 12, version: 2 });
    const adjusted = await keyed().adjustStock({ variantId, delta: -2, note: "broken" });
    expect(adjusted.stock).toMatchObject({ onHand: 10, version: 3 });
    const ledger = await mall().db.sql`select kind, delta, note from product.stock_movements
      where variant_id = ${uuidOf(variantId)} order by id`;
    expect(ledger.map(({ kind, delta, note }) => [kind, delta, note]).sort()).toEqual([
      ["adjust", -2, "broken"],
      ["import", 5, ""],
      ["receive", 7, "delivery"],
    ]);
  });

  test("changes once for a key, also when it is sent twenty times at once", async () => {
    const { ids } = await sell(5);
    const client = keyed();
    const asked = { variantId: ids[0]!, quantity: 10 };
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => client.receiveStock(asked)));
    const refusals = tries.flatMap((tried) => (tried.status === "rejected" ? [tried.reason as unknown] : []));
    const late = refusals.filter((error) => faultInfo(error)?.reason !== "IDEMPOTENCY_KEY_IN_FLIGHT");
    expect([late, refusals.length < 20]).toEqual([[], true]);
    expect((await client.receiveStock(asked)).stock!.onHand).toBe(15);
    expect((await stockOf(ids[0]!)).onHand).toBe(15);
    expect((await refusal(client.receiveStock({ ...asked, quantity: 11 }))).reason).toBe(
      "IDEMPOTENCY_KEY_REUSED",
    );
    expect((await refusal(warehouse().receiveStock(asked))).reason).toBe("IDEMPOTENCY_KEY_REQUIRED");
  });

  test("is not taken from those who hold it", async () => {
    const { ids } = await sell(5);
    const [variantId] = ids as [string];
    await reserve([[variantId, 4]]);
    const client = keyed();
    const short = { code: "FailedPrecondition", reason: "OUT_OF_STOCK" };
    expect(await refusal(client.adjustStock({ variantId, delta: -2 }))).toEqual(short);
    await keyed().receiveStock({ variantId, quantity: 5 });
    expect(await refusal(client.adjustStock({ variantId, delta: -2 }))).toEqual(short);
    expect(await stockOf(variantId)).toEqual({ onHand: 10, reserved: 4, available: 6 });
  });

  test("changes only from the version the caller has seen", async () => {
    const { ids } = await sell(5);
    const [variantId] = ids as [string];
    const asked = { variantId, delta: 1, expectedVersion: 1 };
    expect((await keyed().adjustStock(asked)).stock!.version).toBe(2);
    expect(await refusal(keyed().adjustStock(asked))).toEqual({
      code: "Aborted",
      reason: "VERSION_MISMATCH",
    });
    const race = await Promise.allSettled(
      Array.from({ length: 10 }, () => keyed().adjustStock({ ...asked, expectedVersion: 2 })),
    );
    expect(race.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await stockOf(variantId)).onHand).toBe(7);
  });

  test("is not counted for a variant that is not tracked, and not known for an unknown one", async () => {
    const { ids } = await sell(undefined);
    const untracked = keyed().adjustStock({ variantId: ids[0]!, delta: 1 });
    expect(await refusal(untracked)).toEqual({ code: "FailedPrecondition", reason: "VARIANT_NOT_TRACKED" });
    const variantId = mall().newId("var");
    const missing = { code: "NotFound", reason: "VARIANT_NOT_FOUND" };
    expect(await refusal(keyed().adjustStock({ variantId, delta: 1 }))).toEqual(missing);
    expect(await refusal(keyed().receiveStock({ variantId, quantity: 1 }))).toEqual(missing);
    expect(await refusal(warehouse().getStock({ variantId }))).toEqual(missing);
  });

  test("has a limit", async () => {
    const { ids } = await sell(1_000_000);
    await mall().db.sql`insert into product.stock_movements (id, variant_id, kind, delta, at)
      values (gen_random_uuid(), ${uuidOf(ids[0]!)}, 'receive', 1998500000, now())`;
    await mall().db
      .sql`update product.stock set on_hand = on_hand + 1998500000 where variant_id = ${uuidOf(ids[0]!)}`;
    const asked = keyed().receiveStock({ variantId: ids[0]!, quantity: 1_000_000 });
    expect(await refusal(asked)).toEqual({ code: "OutOfRange", reason: "STOCK_LIMIT" });
  });

  test("change over REST is replayed with the same bytes, over Connect with the same answer", async () => {
    const { ids } = await sell(5);
    const key = crypto.randomUUID();
    const path = `/v1/inventory/${ids[0]}/adjust`;
    const adjust = (body: object, extra: Record<string, string> = { "idempotency-key": key }) =>
      post(path, JSON.stringify(body), extra);
    const first = await adjust({ delta: 4, note: "count" });
    expect([first.status, first.headers.get("etag"), first.headers.get("idempotent-replayed")]).toEqual([
      ...[200, '"2"', null],
    ]);
    const again = await adjust({ note: "count", delta: 4 });
    expect([again.status, again.text]).toEqual([200, first.text]);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    const overConnect = await warehouse(key).adjustStock({ variantId: ids[0]!, delta: 4, note: "count" });
    expect(overConnect.stock).toMatchObject({ onHand: 9, version: 2 });
    expect(await adjust({ delta: 5, note: "count" })).toMatchObject({
      ...{ status: 422, json: { reason: "IDEMPOTENCY_KEY_REUSED" } },
    });
    expect(await adjust({ delta: 4 }, {})).toMatchObject({
      ...{ status: 400, json: { reason: "IDEMPOTENCY_KEY_REQUIRED" } },
    });
    const short = { "idempotency-key": crypto.randomUUID() };
    const refused = await adjust({ delta: -10 }, short);
    expect(refused).toMatchObject({ status: 409, json: { reason: "OUT_OF_STOCK" } });
    await keyed().receiveStock({ variantId: ids[0]!, quantity: 100 });
    expect((await adjust({ delta: -10 }, short)).text).toBe(refused.text);
    expect((await stockOf(ids[0]!)).onHand).toBe(109);
  });

  test("change over REST asks If-Match for the version", async () => {
    const { ids } = await sell(5);
    const adjust = (ifMatch: string, body: object = { delta: 1 }) =>
      post(`/v1/inventory/${ids[0]}/adjust`, JSON.stringify(body), {
        ...{ "idempotency-key": crypto.randomUUID(), "if-match": ifMatch },
      });
    expect(await adjust('"1"')).toMatchObject({ status: 200, json: { stock: { onHand: 6, version: 2 } } });
    const stale = { status: 412, json: { reason: "VERSION_MISMATCH", metadata: { version: "2" } } };
    expect(await adjust('"1"')).toMatchObject(stale);
    expect(await adjust('"1"', { delta: 1, expectedVersion: 2 })).toMatchObject(stale);
    for (const broken of ["2", 'W/"2"', "*", '"0"', '"99999999999"'])
      expect(await adjust(broken)).toMatchObject({ status: 400, json: { reason: "VALIDATION" } });
    expect((await adjust('"2"')).headers.get("etag")).toBe('"3"');
    expect((await stockOf(ids[0]!)).onHand).toBe(7);
  });

  test("change outside its limits is refused and changes nothing", async () => {
    const { ids } = await sell(5);
    const bodies = ['{"delta":0}', '{"delta":1000001}', '{"delta":2147483648}', '{"delta":1.5}', "{}"];
    for (const body of bodies) {
      const { status } = await post(`/v1/inventory/${ids[0]}/adjust`, body, {
        "idempotency-key": crypto.randomUUID(),
      });
      expect([body, status]).toEqual([body, 400]);
    }
    expect((await refusal(keyed().receiveStock({ variantId: ids[0]!, quantity: -1 }))).reason).toBe(
      "VALIDATION",
    );
    expect((await stockOf(ids[0]!)).onHand).toBe(5);
  });

  test("is for staff only", async () => {
    const { ids } = await sell(1);
    const asked = { variantId: ids[0]!, delta: 1 };
    const by = (as: As) =>
      refusal(
        mall()
          .client(InventoryService, { ...as, idempotencyKey: crypto.randomUUID() })
          .adjustStock(asked),
      );
    expect((await by({})).code).toBe("Unauthenticated");
    expect((await by({ user: { id: mall().newId("usr") } })).code).toBe("PermissionDenied");
    expect((await by({ user: { id: mall().newId("usr"), roles: ["staff"] } })).code).toBeUndefined();
    expect((await stockOf(ids[0]!)).onHand).toBe(2);
  });

  test("is set by SKU from the command line, never below what is reserved", async () => {
    const { handle, ids } = await sell(5);
    await reserve([[ids[0]!, 2]]);
    expect(await commands().setStock(`${handle}-0`, 3)).toMatchObject({ onHand: 3, reserved: 2 });
    expect(await commands().setStock(`${handle}-0`, 3)).toMatchObject({ onHand: 3, version: 2 });
    expect((await refusal(commands().setStock(`${handle}-0`, 1))).reason).toBe("OUT_OF_STOCK");
    expect((await refusal(commands().setStock("no-such-sku", 1))).reason).toBe("VARIANT_NOT_FOUND");
    const { handle: untracked } = await sell(undefined);
    expect((await refusal(commands().setStock(`${untracked}-0`, 1))).reason).toBe("VARIANT_NOT_TRACKED");
  });

  test("has a ledger that the service itself cannot rewrite", async () => {
    const denied = { code: "42501" };
    expect(mall().db.sql`update product.stock_movements set delta = 0`).rejects.toMatchObject(denied);
    expect(mall().db.sql`delete from product.stock_movements`).rejects.toMatchObject(denied);
  });
});

describe("a reservation", () => {
  test("holds all lines or none, and names the first that is short", async () => {
    const { ids } = await sell(5, 1, 1);
    const error = await reserve([
      [ids[0]!, 2],
      [ids[2]!, 2],
      [ids[1]!, 2],
    ]).catch((e: unknown) => e);
    expect(faultInfo(error)).toMatchObject({ reason: "OUT_OF_STOCK", metadata: { variantId: ids[2]! } });
    for (const id of ids) expect((await stockOf(id)).reserved).toBe(0);
    await reserve([[ids[0]!, 5], ids[1]!, ids[2]!]);
    for (const id of ids) expect((await stockOf(id)).available).toBe(0);
  });

  test("of variants that are not tracked always succeeds and takes nothing", async () => {
    const { ids } = await sell(undefined);
    const checkoutId = await reserve([[ids[0]!, 999]]);
    await reserve([[ids[0]!, 999]]);
    await checkout().claimStock({ checkoutId });
    expect(await holdOf(checkoutId)).toBe("claimed");
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 0, reserved: 0, available: 0 });
  });

  test("of an unknown variant is refused whole", async () => {
    const { ids } = await sell(5);
    expect(await refusal(reserve([ids[0]!, mall().newId("var")]))).toEqual({
      code: "FailedPrecondition",
      reason: "ITEM_UNAVAILABLE",
    });
    expect((await stockOf(ids[0]!)).reserved).toBe(0);
  });

  test("with a variant in two lines is refused with its pointer", async () => {
    const { ids } = await sell(5);
    const error = await reserve([ids[0]!, ids[0]!]).catch((e: unknown) => e);
    expect(faultInfo(error)).toMatchObject({
      reason: "VALIDATION",
      violations: [{ pointer: "#/lines/1/variantId" }],
    });
  });

  test("that is repeated is the same hold, as long as it holds", async () => {
    const { ids } = await sell(5);
    const checkoutId = mall().newId("chk");
    const asked = { checkoutId, lines: [{ variantId: ids[0]!, quantity: 2 }], expiresAt: inSeconds(60) };
    const first = await checkout().reserveStock(asked);
    expect(await checkout().reserveStock(asked)).toEqual(first);
    expect((await stockOf(ids[0]!)).reserved).toBe(2);
    mall().clock.advance(60);
    expect(await refusal(checkout().reserveStock(asked))).toEqual({
      code: "FailedPrecondition",
      reason: "HOLD_ENDED",
    });
    expect((await stockOf(ids[0]!)).reserved).toBe(0);
  });

  test("takes as many statements for thirty lines as for one", async () => {
    const { ids } = await sell(...Array<number>(30).fill(9));
    const count = (lines: string[]) => statementsOf(() => reserve(lines));
    expect([await count(ids.slice(0, 1)), await count(ids)]).toEqual([1, 1]);
    await reserve(ids, { seconds: 5 });
    mall().clock.advance(5);
    expect(await count(ids)).toBe(1);
  });

  test("is announced when it begins, and when its units come back", async () => {
    const { ids } = await sell(5);
    const [released, expired, claimed] = [
      await reserve([ids[0]!]),
      await reserve([ids[0]!], { seconds: 10 }),
      await reserve([ids[0]!]),
    ];
    await checkout().releaseStock({ checkoutId: released });
    await checkout().releaseStock({ checkoutId: released });
    await checkout().claimStock({ checkoutId: claimed });
    mall().clock.advance(10);
    await reserve([ids[0]!]);
    expect(await eventsAbout(released)).toEqual(["StockReserved", "StockReleased"]);
    expect(await eventsAbout(expired)).toEqual(["StockReserved", "StockReleased"]);
    expect(await eventsAbout(claimed)).toEqual(["StockReserved"]);
  });

  test("with an end that no calendar has is refused", async () => {
    const { ids } = await sell(5);
    const asked = { checkoutId: mall().newId("chk"), lines: [{ variantId: ids[0]!, quantity: 1 }] };
    for (const seconds of [10n ** 15n, -(10n ** 12n), 253_402_300_800n]) {
      const expiresAt = { seconds, nanos: 0 };
      expect((await refusal(checkout().reserveStock({ ...asked, expiresAt }))).reason).toBe("VALIDATION");
      const moved = checkout().extendStock({ checkoutId: asked.checkoutId, expiresAt });
      expect((await refusal(moved)).reason).toBe("VALIDATION");
    }
    expect((await stockOf(ids[0]!)).reserved).toBe(0);
  });

  test("is for checkout only", async () => {
    const { ids } = await sell(1);
    const asked = { checkoutId: mall().newId("chk"), lines: [{ variantId: ids[0]!, quantity: 1 }] };
    for (const as of [
      {},
      { user: { id: mall().newId("usr"), roles: ["admin"] } },
      { service: "cart" as const },
    ]) {
      expect((await refusal(mall().client(InventoryService, as).reserveStock(asked))).code).toBe(
        "PermissionDenied",
      );
    }
  });
});

describe("a hold", () => {
  test("stops counting the moment it is due, before any sweep", async () => {
    const { ids } = await sell(1);
    const first = await reserve([ids[0]!], { seconds: 30 });
    mall().clock.advance(29);
    expect((await refusal(reserve([ids[0]!]))).reason).toBe("OUT_OF_STOCK");
    mall().clock.advance(1);
    expect((await stockOf(ids[0]!)).available).toBe(1);
    expect(await refusal(checkout().claimStock({ checkoutId: first }))).toEqual({
      code: "FailedPrecondition",
      reason: "HOLD_EXPIRED",
    });
    await reserve([ids[0]!]);
    expect(await holdOf(first)).toBe("expired");
    expect((await refusal(checkout().claimStock({ checkoutId: first }))).reason).toBe("HOLD_EXPIRED");
  });

  test("gives back the units of all its variants when one of them is wanted", async () => {
    const { ids } = await sell(1, 1, 1);
    await reserve(ids, { seconds: 30 });
    mall().clock.advance(30);
    await reserve([ids[1]!]);
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 1, reserved: 0, available: 1 });
    expect(await unsoundStock()).toHaveLength(0);
  });

  test("is sold once by its claim", async () => {
    const { ids } = await sell(5, 5);
    const checkoutId = await reserve([[ids[0]!, 2], ids[1]!], { seconds: 30 });
    await Promise.all(Array.from({ length: 10 }, () => checkout().claimStock({ checkoutId })));
    mall().clock.advance(3600);
    await checkout().claimStock({ checkoutId });
    await checkout().releaseStock({ checkoutId });
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 3, reserved: 0, available: 3 });
    const sales = await mall().db
      .sql`select delta from product.stock_movements where reference = ${checkoutId}`;
    expect(sales.map((row) => row.delta).sort()).toEqual([-1, -2]);
    expect(await holdOf(checkoutId)).toBe("claimed");
  });

  test("that is extended stays, and without an end stays for good", async () => {
    const { ids } = await sell(1);
    const checkoutId = await reserve([ids[0]!], { seconds: 30 });
    await checkout().extendStock({ checkoutId, expiresAt: inSeconds(90) });
    mall().clock.advance(60);
    expect((await stockOf(ids[0]!)).available).toBe(0);
    await checkout().extendStock({ checkoutId });
    mall().clock.advance(3600);
    await mall().app.sweep();
    expect((await stockOf(ids[0]!)).available).toBe(0);
    await checkout().extendStock({ checkoutId, expiresAt: inSeconds(1) });
    mall().clock.advance(1);
    expect((await refusal(checkout().extendStock({ checkoutId }))).reason).toBe("HOLD_EXPIRED");
  });

  test("of untracked variants ends like any other", async () => {
    const { ids } = await sell(undefined);
    const [late, kept] = [await reserve(ids, { seconds: 5 }), await reserve(ids, { seconds: 9 })];
    mall().clock.advance(5);
    expect((await refusal(checkout().claimStock({ checkoutId: late }))).reason).toBe("HOLD_EXPIRED");
    expect((await refusal(checkout().extendStock({ checkoutId: late }))).reason).toBe("HOLD_EXPIRED");
    expect((await refusal(reserve(ids, { checkoutId: late }))).reason).toBe("HOLD_ENDED");
    await checkout().claimStock({ checkoutId: kept });
    await mall().app.sweep();
    expect([await holdOf(late), await holdOf(kept)]).toEqual(["expired", "claimed"]);
  });

  test("that is due gives its units back once, however many sweeps there are", async () => {
    const { ids } = await sell(9, 9);
    await reserve(
      [
        [ids[0]!, 4],
        [ids[1]!, 2],
      ],
      { seconds: 5 },
    );
    const other = await reserve([[ids[0]!, 1]], { seconds: 60 });
    mall().clock.advance(5);
    await Promise.all([mall().app.sweep(), mall().app.sweep(), mall().app.sweep()]);
    await mall().app.sweep();
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 9, reserved: 1, available: 8 });
    expect(await stockOf(ids[1]!)).toEqual({ onHand: 9, reserved: 0, available: 9 });
    await checkout().claimStock({ checkoutId: other });
    expect(await stockOf(ids[0]!)).toEqual({ onHand: 8, reserved: 0, available: 8 });
  });

  test("that was released can neither be claimed nor extended, and there may be none", async () => {
    const { ids } = await sell(1);
    const checkoutId = await reserve([ids[0]!]);
    await checkout().releaseStock({ checkoutId });
    expect((await stockOf(ids[0]!)).available).toBe(1);
    expect((await refusal(checkout().claimStock({ checkoutId }))).reason).toBe("HOLD_ENDED");
    expect((await refusal(checkout().extendStock({ checkoutId }))).reason).toBe("HOLD_ENDED");
    const unknown = { checkoutId: mall().newId("chk") };
    expect((await refusal(checkout().claimStock(unknown))).reason).toBe("HOLD_NOT_FOUND");
    expect((await refusal(checkout().extendStock(unknown))).reason).toBe("HOLD_NOT_FOUND");
  });

  test("that is due is ended by the sweep, a hundred and more of them in few statements", async () => {
    const { handle, ids } = await sell(200, undefined);
    const due = await Promise.all(
      Array.from({ length: 120 }, (_, i) => reserve([ids[i % 12 === 0 ? 1 : 0]!], { seconds: 5 })),
    );
    const kept = await reserve([ids[0]!], { seconds: 60 });
    mall().clock.advance(5);
    expect(await statementsOf(() => mall().app.sweep())).toBeLessThan(30);
    expect((await read(handle)).variants[0]!.available).toBe(199);
    expect(new Set(await Promise.all(due.map(holdOf)))).toEqual(new Set(["expired"]));
    expect(await holdOf(kept)).toBe("active");
    expect(await eventsAbout(due[0]!)).toEqual(["StockReserved", "StockReleased"]);
  });
});
