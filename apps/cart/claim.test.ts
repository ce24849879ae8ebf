import { describe, expect, test } from "bun:test";
import { type Cart, CartService, CartState } from "@mall/gen/mall/cart/v1/cart_pb";
import { derivedSecrets } from "@mall/kernel/crypto/derive";
import { uuidOf } from "@mall/kernel/id";
import type { As } from "@mall/kernel/testing/harness";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { cartSuite, type Held, type Lines } from "./testing";

const { mall, client, checkout, filled, guest, read, variants } = cartSuite();

const newUser = (): As => ({ user: { id: mall().newId("usr") } });
const user = (lines: Lines = []) => filled(newUser(), lines);

/** Claims a guest's cart as a user. */
async function claim(as: As, { cartId, as: { cartSecret } }: Held): Promise<Cart> {
  return (await client({ ...as, cartSecret }).claimCart({ cartId })).cart!;
}

const linesOf = (cart: Cart | undefined): Lines =>
  cart!.items.map(({ variantId, quantity }) => [variantId, quantity]);

/** Everything that is stored about carts, to see that nothing has changed. */
async function stored(...holdings: Held[]): Promise<unknown> {
  const ids = holdings.map(({ cartId }) => `'${uuidOf(cartId as `cart_${string}`)}'`).join();
  const carts = await mall().db.sql.unsafe(`select * from cart.carts where id in (${ids}) order by id`);
  const items = await mall().db.sql.unsafe(
    `select * from cart.cart_items where cart_id in (${ids}) order by cart_id, position`,
  );
  return JSON.stringify([[...carts], [...items]]);
}

/** What must hold for each cart: its row counts its lines, and no two lines stand at the same place. */
async function checkCounts(): Promise<void> {
  const wrong = await mall().db.sql.unsafe(
    `select c.id from cart.carts c left join cart.cart_items i on i.cart_id = c.id group by c.id
     having c.line_count <> count(i.variant_id) or count(distinct i.position) <> count(i.variant_id)
       or c.version < max(i.position)`,
  );
  expect([...wrong]).toEqual([]);
}

/** Waits until so many statements wait for a lock. */
async function waiters(count: number): Promise<number[]> {
  for (;;) {
    const rows = await mall().db.sql.unsafe(
      `select distinct pid from pg_locks join pg_stat_activity using (pid)
       where not granted and datname = current_database()`,
    );
    if (rows.length >= count) return rows.map((row) => row.pid as number);
  }
}

describe("claiming a guest's cart", () => {
  test("merges it into the user's: quantities are added, new lines follow, and the guest's cart ends", async () => {
    const [a, b, c, d] = variants(4) as [string, string, string, string];
    const mine = await user([
      [a, 1],
      [b, 2],
    ]);
    const theirs = await guest([
      [d, 7],
      [b, 3],
      [c, 4],
    ]);
    const { version } = await read(mine);
    const cart = await claim(mine.as, theirs);
    expect(cart.id).toBe(mine.cartId);
    expect(linesOf(cart)).toEqual([
      [a, 1],
      [b, 5],
      [d, 7],
      [c, 4],
    ]);
    expect(cart.version).toBeGreaterThan(version);
    expect(cart.total).toMatchObject({ minor: 17_000n });
    expect(await read(mine)).toEqual(cart);

    const ended = await read(theirs);
    expect(ended.state).toBe(CartState.CLAIMED);
    expect(await claim(mine.as, theirs)).toEqual(cart);
    const later = await client(mine.as).addItem({ cartId: mine.cartId, variantId: c, quantity: 1 });
    expect(linesOf(later.cart)).toEqual([
      [a, 1],
      [b, 5],
      [d, 7],
      [c, 5],
    ]);
    expect(await claim(mine.as, theirs)).toEqual(later.cart!);
    await checkCounts();
  });

  test("ends it for its secret: every change is refused with CART_CLAIMED", async () => {
    const [a] = variants(1) as [string];
    const mine = await user([[a, 1]]);
    const { cartId, as } = await guest([[a, 1]]);
    await claim(mine.as, { cartId, as });
    const before = await stored(mine, { cartId, as });
    const writes = [
      client(as).addItem({ cartId, variantId: a, quantity: 1 }),
      client(as).setItemQuantity({ cartId, variantId: a, quantity: 9 }),
      client(as).removeItem({ cartId, variantId: a }),
      client(as).emptyCart({ cartId }),
      client(as).applyCoupon({ cartId, code: "NONE" }),
      client(as).removeCoupon({ cartId }),
      checkout(as).lockCart({ cartId, checkoutId: mall().newId("chk") }),
    ];
    expect(await Promise.all(writes.map(reasonOf))).toEqual(writes.map(() => "CART_CLAIMED"));
    expect(await stored(mine, { cartId, as })).toBe(before);
  });

  test("of an empty one, or into an empty one, is a merge too", async () => {
    const [a] = variants(1) as [string];
    const mine = await user([[a, 1]]);
    const before = await read(mine);
    const empty = await guest();
    expect(await claim(mine.as, empty)).toEqual(before);
    expect((await read(empty)).state).toBe(CartState.CLAIMED);
    const none = await user();
    expect(linesOf(await claim(none.as, await guest([[a, 2]])))).toEqual([[a, 2]]);
  });

  test("adds up to the most units of a line", async () => {
    const [a, b] = variants(2) as [string, string];
    const mine = await user([
      [a, 999],
      [b, 998],
    ]);
    const cart = await claim(
      mine.as,
      await guest([
        [a, 5],
        [b, 2],
      ]),
    );
    expect(linesOf(cart)).toEqual([
      [a, 999],
      [b, 999],
    ]);
    expect(cart.version).toBe(4);
  });

  test("fills the cart to 100 lines, and with more changes nothing", async () => {
    const ids = variants(120);
    const lines = (from: number, to: number): Lines => ids.slice(from, to).map((id) => [id, 1]);
    const mine = await user(lines(0, 60));
    const tooMany = await guest(lines(59, 101));
    const before = await stored(mine, tooMany);
    expect(await reasonOf(claim(mine.as, tooMany))).toBe("CART_LIMIT");
    expect(await stored(mine, tooMany)).toBe(before);
    await client(tooMany.as).removeItem({ cartId: tooMany.cartId, variantId: ids[100]! });
    const cart = await claim(mine.as, tooMany);
    expect(cart.items.map(({ variantId }) => variantId)).toEqual(ids.slice(0, 100));
    expect(
      await reasonOf(client(mine.as).addItem({ cartId: mine.cartId, variantId: ids[110]!, quantity: 1 })),
    ).toBe("CART_LIMIT");
    await checkCounts();
  });

  test("without a cart of the user makes it the user's, and its secret no longer opens it", async () => {
    const [a] = variants(1) as [string];
    const theirs = await guest([[a, 2]]);
    const as = newUser();
    const cart = await claim(as, theirs);
    expect([cart.id, cart.state]).toEqual([theirs.cartId, CartState.OPEN]);
    expect(linesOf(cart)).toEqual([[a, 2]]);
    expect((await client(as).getMyCart({})).cart).toEqual(cart);
    expect(await reasonOf(read(theirs))).toBe("CART_NOT_FOUND");
    expect(
      await reasonOf(client(theirs.as).addItem({ cartId: theirs.cartId, variantId: a, quantity: 1 })),
    ).toBe("CART_NOT_FOUND");
    expect(await claim(as, theirs)).toEqual(cart);
    expect((await client(as).claimCart({ cartId: cart.id })).cart).toEqual(cart);
    const another = await claim(as, await guest([[a, 3]]));
    expect([another.id, linesOf(another)]).toEqual([cart.id, [[a, 5]]]);
  });

  test("after the user's last cart was bought makes the guest's the user's", async () => {
    const [a] = variants(1) as [string];
    const mine = await user([[a, 1]]);
    const first = await guest([[a, 2]]);
    await claim(mine.as, first);
    const purchase = { cartId: mine.cartId, checkoutId: mall().newId("chk") };
    await checkout(mine.as).lockCart(purchase);
    await checkout().convertCart(purchase);
    const theirs = await guest([[a, 4]]);
    expect((await claim(mine.as, theirs)).id).toBe(theirs.cartId);
    const bought = await claim(mine.as, first);
    expect([bought.id, bought.state, linesOf(bought)]).toEqual([mine.cartId, CartState.CONVERTED, [[a, 3]]]);
  });

  test("waits until no checkout has one of the two", async () => {
    const [a] = variants(1) as [string];
    const mine = await user([[a, 1]]);
    const theirs = await guest([[a, 2]]);
    for (const { cartId, as } of [mine, theirs]) {
      const lock = { cartId, checkoutId: mall().newId("chk") };
      await checkout(as).lockCart(lock);
      const before = await stored(mine, theirs);
      expect(await reasonOf(claim(mine.as, theirs))).toBe("CART_LOCKED");
      expect(await stored(mine, theirs)).toBe(before);
      if (cartId === theirs.cartId) expect(await reasonOf(claim(newUser(), theirs))).toBe("CART_LOCKED");
      expect((await client(mine.as).claimCart({ cartId: mine.cartId })).cart!.id).toBe(mine.cartId);
      await checkout().unlockCart(lock);
    }
    expect(linesOf(await claim(mine.as, theirs))).toEqual([[a, 3]]);
  });

  test("that was bought is refused with CART_CONVERTED", async () => {
    const [a] = variants(1) as [string];
    const { cartId, as } = await guest([[a, 2]]);
    const purchase = { cartId, checkoutId: mall().newId("chk") };
    await checkout(as).lockCart(purchase);
    await checkout().convertCart(purchase);
    expect(await reasonOf(claim(newUser(), { cartId, as }))).toBe("CART_CONVERTED");
    expect(await reasonOf(claim((await user([[a, 1]])).as, { cartId, as }))).toBe("CART_CONVERTED");
  });
});

describe("a claim", () => {
  test("without the secret, of a foreign cart or of an unknown one finds no cart and changes nothing", async () => {
    const [a] = variants(1) as [string];
    const secrets = derivedSecrets("test-master-key-test-master-key-0123456789");
    const mine = await user([[a, 1]]);
    const theirs = await guest([[a, 2]]);
    const foreign = await user([[a, 3]]);
    const merged = await guest([[a, 4]]);
    await claim(foreign.as, merged);
    const adopted = await guest([[a, 5]]);
    await claim(newUser(), adopted);
    const before = await stored(mine, theirs, foreign, merged, adopted);
    const cases: Held[] = [
      { cartId: theirs.cartId, as: {} },
      { cartId: theirs.cartId, as: { cartSecret: "wrong" } },
      { cartId: theirs.cartId, as: { cartSecret: (await guest()).as.cartSecret } },
      { cartId: theirs.cartId, as: { cartSecret: secrets.secretOf("cart", theirs.cartId, 2) } },
      { cartId: foreign.cartId, as: {} },
      { cartId: foreign.cartId, as: { cartSecret: secrets.secretOf("cart", foreign.cartId, 1) } },
      { cartId: mall().newId("cart"), as: theirs.as },
      merged,
      { ...merged, as: {} },
      adopted,
    ];
    for (const as of [mine.as, newUser()]) {
      for (const wrong of cases) expect(await reasonOf(claim(as, wrong))).toBe("CART_NOT_FOUND");
    }
    expect(await reasonOf(claim({}, theirs))).toBe("UNAUTHENTICATED");
    expect(await stored(mine, theirs, foreign, merged, adopted)).toBe(before);
  });

  test("by two users at once has one winner, and the other one's cart stays as it is", async () => {
    const [a] = variants(1) as [string];
    const wins = [0, 0];
    for (let round = 0; round < 40; round++) {
      const theirs = await guest([[a, 3]]);
      const users = round % 4 < 2 ? [await user([[a, 1]]), await user([[a, 1]])] : [newUser(), newUser()];
      const who = users.map((one) => ("as" in one ? one.as : one) as As);
      const order = round % 2 ? [1, 0] : [0, 1];
      const claims = order.map(async (i) => [i, await reasonOf(claim(who[i]!, theirs))] as const);
      const reasons = new Map(await Promise.all(claims));
      expect([...reasons.values()].toSorted()).toEqual(["", "CART_NOT_FOUND"]);
      const winner = reasons.get(0) === "" ? 0 : 1;
      wins[winner]!++;
      const units = async (as: As) =>
        client(as)
          .getMyCart({})
          .then(
            ({ cart }) => linesOf(cart)[0]![1],
            () => 0,
          );
      const own = round % 4 < 2 ? 1 : 0;
      expect(await units(who[winner]!)).toBe(own + 3);
      expect(await units(who[1 - winner]!)).toBe(own);
    }
    expect(wins[0]! + wins[1]!).toBe(40);
  });

  test("that is sent 25 times at once merges once", async () => {
    const [a, b] = variants(2) as [string, string];
    for (const mine of [await user([[a, 1]]), { as: newUser(), cartId: "" }]) {
      const theirs = await guest([
        [a, 2],
        [b, 3],
      ]);
      const answers = await Promise.all(Array.from({ length: 25 }, () => claim(mine.as, theirs)));
      const units = mine.cartId ? 3 : 2;
      for (const cart of answers) {
        expect(cart.id).toBe(mine.cartId || theirs.cartId);
        expect(linesOf(cart)).toEqual([
          [a, units],
          [b, 3],
        ]);
      }
    }
    await checkCounts();
  });

  test("of ten carts at once by one user gives one cart with all of them, whoever came first", async () => {
    for (let round = 0; round < 8; round++) {
      const ids = variants(4);
      const as = round % 2 ? newUser() : (await user([[ids[0]!, 1]])).as;
      const guests: Held[] = [];
      for (let n = 0; n < 10; n++) {
        guests.push(
          await guest([
            [ids[n % 4]!, 1],
            [ids[(n + 1) % 4]!, 2],
          ]),
        );
      }
      const creating = round % 4 === 3 ? [client(as).createCart({})] : [];
      const claims = guests.flatMap((theirs) => [claim(as, theirs), claim(as, theirs)]);
      await Promise.all([...creating, ...claims]);
      const { cart } = await client(as).getMyCart({});
      const units = linesOf(cart).reduce((sum, [, quantity]) => sum + quantity, 0);
      expect(units).toBe(30 + (round % 2 ? 0 : 1));
    }
    await checkCounts();
  });

  test("while both carts are filled loses no unit that was let in", async () => {
    const seen = { inMine: 0, refused: 0 };
    for (let round = 0; round < 30; round++) {
      const [a, b, c] = variants(3) as [string, string, string];
      const mine = await user(round % 3 ? [[a, 1]] : []);
      const theirs = await guest([[a, 1]]);
      const add = ({ cartId, as }: Held, variantId: string) =>
        reasonOf(client(as).addItem({ cartId, variantId, quantity: 1 }));
      const before = [add(theirs, a), add(theirs, b), add(mine, b)];
      if (round % 2) await Promise.race(before);
      const claimed = claim(mine.as, theirs);
      const after = [add(theirs, c), add(theirs, a), add(mine, a)];
      const reasons = await Promise.all([...before, ...after]);
      await claimed;
      const letIn = reasons.filter((reason) => reason === "").length;
      expect(reasons.filter((reason) => reason !== "" && reason !== "CART_CLAIMED")).toEqual([]);
      const units = linesOf(await read(mine)).reduce((sum, [, quantity]) => sum + quantity, 0);
      expect(units).toBe((round % 3 ? 2 : 1) + letIn);
      seen.inMine += letIn;
      seen.refused += reasons.length - letIn;
    }
    expect(Math.min(seen.inMine, seen.refused)).toBeGreaterThan(0);
    await checkCounts();
  });

  test("that waits for a change of the guest's cart takes over the line which that change adds", async () => {
    const [a, b, late] = variants(3) as [string, string, string];
    const mine = await user([[a, 1]]);
    const theirs = await guest([[b, 1]]);
    let claimed: Promise<Cart> | undefined;
    await mall().db.tx(async ({ sql }) => {
      const id = uuidOf(theirs.cartId as `cart_${string}`);
      await sql.unsafe("update cart.carts set version = version + 1, line_count = 2 where id = $1", [id]);
      await sql.unsafe("insert into cart.cart_items values ($1, $2, 7, 3, now())", [
        id,
        uuidOf(late as `var_${string}`),
      ]);
      claimed = claim(mine.as, theirs);
      await waiters(1);
    });
    expect(linesOf(await claimed!)).toEqual([
      [a, 1],
      [b, 1],
      [late, 7],
    ]);
  });

  test("that is broken off in the middle has changed nothing, and can be repeated", async () => {
    const ids = variants(6);
    const line =
      (quantity: number) =>
      (id: string): Lines[0] => [id, quantity];
    for (const stop of ["lock", "merge"]) {
      const mine = await user(ids.slice(0, 3).map(line(1)));
      const theirs = await guest(ids.slice(2).map(line(2)));
      const before = await stored(mine, theirs);
      await mall().db.tx(async ({ sql }) => {
        // the claim stops at the lock of the carts, or when it writes this line after it has read both
        const [table, { cartId }] =
          stop === "lock" ? ["carts where id", theirs] : ["cart_items where cart_id", mine];
        await sql.unsafe(`select 1 from cart.${table} = $1 for update`, [uuidOf(cartId as `cart_${string}`)]);
        const broken = reasonOf(claim(mine.as, theirs));
        const [pid] = await waiters(1);
        await sql.unsafe("set local role none");
        await sql.unsafe("select pg_cancel_backend($1::int)", [pid!]);
        expect(await broken).toBe("DATABASE_UNAVAILABLE");
      });
      expect(await stored(mine, theirs)).toBe(before);
      for (let again = 0; again < 2; again++) {
        expect(linesOf(await claim(mine.as, theirs))).toEqual([
          ...ids.slice(0, 2).map(line(1)),
          [ids[2]!, 3],
          ...ids.slice(3).map(line(2)),
        ]);
      }
    }
  });
});

describe("the coupon", () => {
  const coupon = async (code: string) =>
    mall()
      .client(CartService, { service: "mall", idempotencyKey: code })
      .createCoupon({
        ...{ code, amount: { currency: "USD", minor: 100n }, redemptionLimit: 10 },
      });

  test("of the user stays, and without one the guest's moves over", async () => {
    await coupon("MINE");
    await coupon("THEIRS");
    const [a] = variants(1) as [string];
    const apply = ({ cartId, as }: Held, code: string) => client(as).applyCoupon({ cartId, code });
    const mine = await user([[a, 1]]);
    const theirs = await guest([[a, 1]]);
    await apply(theirs, "theirs");
    const { version } = await read(mine);
    expect(await claim(mine.as, theirs)).toMatchObject({
      couponCode: "THEIRS",
      discountTotal: { minor: 100n },
    });
    const empty = await guest();
    await apply(empty, "mine");
    const kept = await claim(mine.as, empty);
    expect([kept.couponCode, kept.version]).toEqual(["THEIRS", version + 1]);

    const bare = await user([[a, 1]]);
    const onlyCoupon = await guest();
    await apply(onlyCoupon, "mine");
    const moved = await claim(bare.as, onlyCoupon);
    expect([moved.couponCode, moved.version]).toEqual(["MINE", 3]);
    expect(await claim(bare.as, onlyCoupon)).toEqual(moved);
    const adopted = await guest([[a, 1]]);
    await apply(adopted, "mine");
    expect((await claim(newUser(), adopted)).couponCode).toBe("MINE");
  });
});
