import { describe, expect, test } from "bun:test";
import { CartService, CartState } from "@mall/gen/mall/cart/v1/cart_pb";
import { uuidOf } from "@mall/kernel/id";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { cartSuite, type Held } from "./testing";

const { mall, client, checkout, guest, read, variants } = cartSuite();

/** The same pseudo-random numbers from 0 to n - 1 each time. */
function dice(seed: number): (n: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (n) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** One call that concerns a line, when it ran, and how it ended; `units` is what a read saw. */
interface Op {
  kind: "add" | "set" | "remove" | "read";
  units: number;
  outcome: string;
  from: number;
  to: number;
}

/** The units of a line after an operation, 0 without one; undefined when it cannot have ended so on this line. */
function after(units: number, op: Op): number | undefined {
  if (op.kind === "read") return units === op.units ? units : undefined;
  if (op.kind === "remove") return op.outcome === "" ? 0 : undefined;
  if (op.kind === "set") {
    const expected = units === 0 ? "ITEM_NOT_FOUND" : "";
    if (op.outcome !== expected) return undefined;
    return units === 0 ? 0 : op.units;
  }
  const expected = units + op.units > 999 ? "QUANTITY_LIMIT" : "";
  if (op.outcome !== expected) return undefined;
  return expected ? units : units + op.units;
}

/** Whether there is an order of the operations that keeps the order of those that did not overlap and explains all. */
function isLinearizable(history: readonly Op[]): boolean {
  const dead = new Set<string>();
  const search = (done: number, units: number): boolean => {
    if (done === 2 ** history.length - 1) return true;
    const state = `${done} ${units}`;
    if (dead.has(state)) return false;
    const left = history.flatMap((op, i) => (done & (1 << i) ? [] : [{ op, bit: 1 << i }]));
    const firstEnd = Math.min(...left.map(({ op }) => op.to));
    for (const { op, bit } of left) {
      const next = op.from < firstEnd ? after(units, op) : undefined;
      if (next !== undefined && search(done | bit, next)) return true;
    }
    dead.add(state);
    return false;
  };
  return search(0, 0);
}

describe("changes of lines at the same moment", () => {
  test("happen one after the other for each line: every answer fits one order of them", async () => {
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 60; round++) {
      const roll = dice(round);
      const held = await guest();
      const { cartId, as } = held;
      const lines = variants(2).map((variantId) => ({ variantId, history: [] as Op[] }));
      let time = 0;
      const timed = async (run: () => Promise<[(typeof lines)[0], Omit<Op, "from" | "to">][]>) => {
        const from = time++;
        const ops = await run();
        const to = time++;
        for (const [line, op] of ops) line.history.push({ ...op, from, to });
      };
      const change = () => {
        const line = lines[roll(2)]!;
        const { variantId } = line;
        const kind = (["add", "add", "set", "remove"] as const)[roll(4)]!;
        const units = kind === "remove" ? 0 : [1, 2, 5, 700, 999][roll(5)]!;
        const request = { cartId, variantId, quantity: units };
        return timed(async () => {
          const outcome = await reasonOf(
            kind === "add"
              ? client(as).addItem(request)
              : kind === "set"
                ? client(as).setItemQuantity(request)
                : client(as).removeItem({ cartId, variantId }),
          );
          outcomes.set(`${kind} ${outcome}`, (outcomes.get(`${kind} ${outcome}`) ?? 0) + 1);
          return [[line, { kind, units, outcome }]];
        });
      };
      const look = () =>
        timed(async () => {
          const { items } = await read(held);
          const unitsOf = (id: string) => items.find(({ variantId }) => variantId === id)?.quantity ?? 0;
          return lines.map((line) => [line, { kind: "read", units: unitsOf(line.variantId), outcome: "" }]);
        });
      const customers = Array.from({ length: 4 }, async () => {
        for (let n = 0; n < 4; n++) await (roll(5) === 0 ? look() : change());
      });
      await Promise.all(customers);
      await look();
      for (const { history } of lines)
        expect([round, history, isLinearizable(history)]).toEqual([round, history, true]);
    }
    const seen = ["add ", "add QUANTITY_LIMIT", "set ", "set ITEM_NOT_FOUND", "remove "];
    expect([...outcomes.keys()].toSorted()).toEqual(seen.toSorted());
  });

  test("are judged by a judge that sees a lost, a doubled and a reordered change", () => {
    const at = (from: number, to: number) => ({ from, to });
    const add = (units: number, from: number, to: number): Op => ({
      ...{ kind: "add", units, outcome: "", ...at(from, to) },
    });
    const seen = (units: number, from: number, to: number): Op => ({
      ...{ kind: "read", units, outcome: "", ...at(from, to) },
    });
    const remove: Op = { kind: "remove", units: 0, outcome: "", ...at(2, 3) };
    expect(isLinearizable([add(1, 0, 2), add(2, 1, 3), seen(3, 4, 5)])).toBe(true);
    expect(isLinearizable([add(1, 0, 2), add(2, 1, 3), seen(2, 4, 5)])).toBe(false);
    expect(isLinearizable([add(1, 0, 2), add(2, 1, 3), seen(4, 4, 5)])).toBe(false);
    expect(isLinearizable([add(1, 0, 4), remove, seen(1, 5, 6)])).toBe(true);
    expect(isLinearizable([add(1, 0, 1), remove, seen(1, 5, 6)])).toBe(false);
  });

  test("100 adds of 3 units to one line and 50 of others lose nothing", async () => {
    const [hot, ...others] = variants(11) as [string, ...string[]];
    const held = await guest();
    const { cartId, as } = held;
    const adds = Array.from({ length: 150 }, (_, n) => {
      const variantId = n % 3 === 2 ? others[n % 10]! : hot;
      return client(as).addItem({ cartId, variantId, quantity: 3 });
    });
    const answers = await Promise.all(adds);
    const cart = await read(held);
    const units = new Map(cart.items.map(({ variantId, quantity }) => [variantId, quantity]));
    expect(units.get(hot)).toBe(300);
    expect(others.map((id) => units.get(id))).toEqual(others.map(() => 15));
    expect(cart.version).toBe(151);
    for (const answer of answers) {
      const sum = answer.cart!.items.reduce((total, item) => total + item.quantity, 0);
      expect(sum).toBe(3 * (answer.cart!.version - 1));
    }
  });
});

describe("changes based on a version", () => {
  /** All kinds of writes, each of them changing the cart. */
  function writers({ cartId, as }: Held, present: string[], codes: string[]) {
    const fresh = variants(6);
    return (expectedVersion: number) => [
      ...fresh.map((variantId) => client(as).addItem({ cartId, expectedVersion, variantId, quantity: 1 })),
      ...present.map((variantId, n) =>
        client(as).setItemQuantity({ cartId, expectedVersion, variantId, quantity: 10 + n }),
      ),
      ...present.map((variantId) => client(as).removeItem({ cartId, expectedVersion, variantId })),
      ...codes.map((code) => client(as).applyCoupon({ cartId, expectedVersion, code })),
      client(as).removeCoupon({ cartId, expectedVersion }),
      client(as).emptyCart({ cartId, expectedVersion }),
    ];
  }

  async function coupons(count: number): Promise<string[]> {
    const codes = Array.from({ length: count }, () => `C${crypto.randomUUID().slice(0, 8).toUpperCase()}`);
    for (const code of codes) {
      await mall()
        .client(CartService, { service: "mall", idempotencyKey: code })
        .createCoupon({
          ...{ code, amount: { currency: "USD", minor: 100n }, redemptionLimit: 10 },
        });
    }
    return codes;
  }

  test("have exactly one winner, of whatever kind they are", async () => {
    const [applied, ...codes] = (await coupons(4)) as [string, ...string[]];
    const winners = new Set<number>();
    for (let round = 0; round < 30; round++) {
      const present = variants(5);
      const held = await guest(present.map((id): [string, number] => [id, 1]));
      const { cartId, as } = held;
      const { version } = (await client(as).applyCoupon({ cartId, code: applied })).cart!;
      const write = writers(held, present, codes);
      const works = dice(round)(2) ? write(version) : write(version).toReversed();
      const reasons = await Promise.all(works.map(reasonOf));
      expect(reasons.filter((reason) => reason === "")).toHaveLength(1);
      expect(new Set(reasons)).toEqual(new Set(["", "VERSION_MISMATCH"]));
      winners.add(reasons.indexOf(""));
      expect((await read(held)).version).toBe(version + 1);
    }
    expect(winners.size).toBeGreaterThan(1);
  });

  test("change nothing when it is another one", async () => {
    const [applied, ...codes] = (await coupons(2)) as [string, ...string[]];
    const present = variants(2);
    const held = await guest(present.map((id): [string, number] => [id, 1]));
    await client(held.as).applyCoupon({ cartId: held.cartId, code: applied });
    const before = await read(held);
    for (const wrong of [before.version - 1, before.version + 1, 1, 2 ** 31 - 1]) {
      const reasons = await Promise.all(writers(held, present, codes)(wrong).map(reasonOf));
      expect(new Set(reasons)).toEqual(new Set(["VERSION_MISMATCH"]));
    }
    expect(await read(held)).toEqual(before);
  });

  test("on REST are those with If-Match, and a stale one is 412", async () => {
    const [applied, code] = (await coupons(2)) as [string, string];
    const [present, fresh] = variants(2) as [string, string];
    const held = await guest([[present, 1]]);
    const at = `/v1/carts/${held.cartId}`;
    const send = async (verb: string, path: string, version: number, body?: object) => {
      const headers = await mall().headers(held.as);
      headers.set("content-type", "application/json");
      headers.set("if-match", `"${version}"`);
      const request = new Request(`http://cart${at}${path}`, {
        method: verb,
        headers,
        body: JSON.stringify(body),
      });
      const response = await mall().app.fetch(request);
      const { reason, metadata } = (await response.json()) as { reason?: string; metadata?: object };
      return { status: response.status, etag: response.headers.get("etag"), reason, metadata };
    };
    const writes: [string, string, object?][] = [
      ["PUT", "/coupon", { code: applied }],
      ["PUT", "/coupon", { code }],
      ["POST", "/items", { variantId: fresh, quantity: 2 }],
      ["PATCH", `/items/${fresh}`, { quantity: 5 }],
      ["DELETE", "/coupon"],
      ["DELETE", `/items/${present}`],
      ["DELETE", "/items"],
    ];
    let { version } = await read(held);
    for (const [verb, path, body] of writes) {
      const before = await read(held);
      for (const wrong of [version + 1, Math.max(1, version - 1)]) {
        const stale = await send(verb, path, wrong, body);
        expect([stale.status, stale.reason]).toEqual([412, "VERSION_MISMATCH"]);
        expect(stale.metadata).toEqual({ expectedVersion: String(wrong), version: String(version) });
      }
      expect(await read(held)).toEqual(before);
      const changed = await send(verb, path, version, body);
      version++;
      expect([changed.status, changed.etag]).toEqual([200, `"${version}"`]);
    }
  });

  test("repeated until they succeed count every step", async () => {
    const [variantId] = variants(1) as [string];
    const held = await guest([[variantId, 1]]);
    const { cartId, as } = held;
    const steps = 6;
    const counters = Array.from({ length: 8 }, async () => {
      for (let done = 0; done < steps; ) {
        const { version: expectedVersion, items } = await read(held);
        const quantity = items[0]!.quantity + 1;
        const reason = await reasonOf(
          client(as).setItemQuantity({ cartId, variantId, quantity, expectedVersion }),
        );
        if (reason === "") done++;
        else expect(reason).toBe("VERSION_MISMATCH");
      }
    });
    await Promise.all(counters);
    expect((await read(held)).items[0]!.quantity).toBe(1 + 8 * steps);
  });
});

/** Waits until so many statements wait for a lock. */
async function waiters(count: number): Promise<void> {
  for (let waiting = 0; waiting < count; ) {
    const [row] = await mall().db.sql.unsafe(
      `select count(distinct pid)::int as n from pg_locks join pg_stat_activity using (pid)
       where not granted and datname = current_database()`,
    );
    waiting = row!.n;
  }
}

describe("a checkout that gave the cart back", () => {
  const stateOf = async (held: Held) => CartState[(await read(held)).state];

  test("can no longer lock it, whether it had locked it or not, but others can", async () => {
    for (const locksFirst of [true, false]) {
      const held = await guest([[mall().newId("var"), 1]]);
      const purchase = { cartId: held.cartId, checkoutId: mall().newId("chk") };
      if (locksFirst) await checkout(held.as).lockCart(purchase);
      const before = await read(held);
      await checkout().unlockCart(purchase);
      await checkout().unlockCart(purchase);
      for (let again = 0; again < 2; again++) {
        expect(await reasonOf(checkout(held.as).lockCart(purchase))).toBe("LOCK_ENDED");
      }
      expect(await read(held)).toEqual({ ...before, state: CartState.OPEN });
      const next = { ...purchase, checkoutId: mall().newId("chk") };
      await checkout(held.as).lockCart(next);
      expect(await reasonOf(checkout(held.as).lockCart(purchase))).toBe("LOCK_ENDED");
      await checkout().unlockCart(purchase);
      expect(await stateOf(held)).toBe("LOCKED");
      await checkout().convertCart(next);
      await checkout().unlockCart(next);
      expect(await stateOf(held)).toBe("CONVERTED");
    }
  });

  test("while its lock was under way does not have it in the end", async () => {
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 60; round++) {
      const held = await guest([[mall().newId("var"), 1]]);
      const purchase = { cartId: held.cartId, checkoutId: mall().newId("chk") };
      const lock = () => reasonOf(checkout(held.as).lockCart(purchase));
      const unlock = () => checkout().unlockCart(purchase);
      const works = round % 2 ? [lock(), unlock(), lock()] : [unlock(), lock(), lock()];
      for (const outcome of await Promise.all(works)) {
        if (typeof outcome === "string") outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      expect([round, await stateOf(held)]).toEqual([round, "OPEN"]);
      expect(await lock()).toBe("LOCK_ENDED");
    }
    expect([...outcomes.keys()].toSorted()).toEqual(["", "LOCK_ENDED"]);
  });

  test("while its lock waited behind it is refused, although the lock began before", async () => {
    const held = await guest([[mall().newId("var"), 1]]);
    const purchase = { cartId: held.cartId, checkoutId: mall().newId("chk") };
    let late: Promise<string> | undefined;
    let unlocked: Promise<unknown> | undefined;
    await mall().db.tx(async ({ sql }) => {
      const id = uuidOf(held.cartId as `cart_${string}`);
      await sql.unsafe("select 1 from cart.carts where id = $1 for update", [id]);
      unlocked = checkout().unlockCart(purchase);
      await waiters(1);
      late = reasonOf(checkout(held.as).lockCart(purchase));
      await waiters(2);
    });
    await unlocked;
    expect(await late!).toBe("LOCK_ENDED");
    expect(await stateOf(held)).toBe("OPEN");
  });
});

describe("50 checkouts of one cart at once", () => {
  test("have one winner, which reads the lines; the others have nothing", async () => {
    for (let round = 0; round < 3; round++) {
      const ids = variants(3);
      const held = await guest(ids.map((id): [string, number] => [id, 2]));
      const checkouts = Array.from({ length: 50 }, () => mall().newId("chk"));
      const answers = await Promise.all(
        checkouts.map(async (checkoutId) => {
          const lock = checkout(held.as).lockCart({ cartId: held.cartId, checkoutId });
          return { checkoutId, reason: await reasonOf(lock), lock };
        }),
      );
      const winners = answers.filter(({ reason }) => reason === "");
      expect(winners).toHaveLength(1);
      expect(answers.filter(({ reason }) => reason === "CART_LOCKED")).toHaveLength(49);
      expect((await winners[0]!.lock).items.map((item) => item.variantId)).toEqual(ids);
      const losers = answers.filter(({ reason }) => reason !== "");
      await Promise.all(
        losers.map(({ checkoutId }) => checkout().unlockCart({ cartId: held.cartId, checkoutId })),
      );
      const converted = await Promise.all(
        checkouts.map((checkoutId) => reasonOf(checkout().convertCart({ cartId: held.cartId, checkoutId }))),
      );
      expect(converted.filter((reason) => reason === "")).toHaveLength(1);
      expect(converted.indexOf("")).toBe(checkouts.indexOf(winners[0]!.checkoutId));
    }
  });
});
