import { beforeAll, describe, expect, test } from "bun:test";
import { type Db, openDb } from "@mall/kernel/db/client";
import { uuidOf } from "@mall/kernel/id";
import { atEnd } from "@mall/kernel/testing/cleanup";
import { mall } from "./command";
import { host, hostKind } from "./host";
import { address, guestWith, inStock, newUser, type Order, type Placed, placeOrder, rest } from "./shop";

let owner: Db;
beforeAll(async () => {
  owner = openDb({ url: (await host()).databaseUrl, max: 1 });
  atEnd(() => owner.close());
});

interface Shown extends Order {
  email: string;
  shippingAddress?: typeof address;
}

/** A guest's paid order, and how its holder reads it. */
async function bought() {
  const placed = await placeOrder<Placed>(await guestWith(await inStock()));
  const { order, orderSecret } = placed.body;
  const read = async () =>
    (await rest<{ order: Shown }>("GET", `/v1/orders/${order.id}`, undefined, { orderSecret })).body.order;
  return { id: order.id, read };
}

describe(`personal data at rest (${hostKind})`, () => {
  test("is not in the rows, and its owner reads it", async () => {
    const { id, read } = await bought();
    expect(await read()).toMatchObject({ email: "ada@example.com", shippingAddress: address });
    const [row] = await owner.sql`select o::text as text from "order".orders o where id = ${uuidOf(id)}`;
    expect(row!.text).not.toContain("ada@");
    expect(row!.text).not.toContain("Analytical");
  });

  test("that was stored in the clear once is sealed by command while it is read", async () => {
    const { id, read } = await bought();
    await owner.sql`update "order".orders set personal = null, email = 'ada@example.com',
      shipping_address = ${JSON.stringify(address)}::text::jsonb where id = ${uuidOf(id)}`;
    const before = await read();
    const sealed = await mall("data-keys", "seal");
    expect([sealed.exitCode, sealed.text]).toEqual([
      0,
      expect.stringMatching(/Nothing personal is in the clear\.\n$/),
    ]);
    expect(await read()).toEqual(before);
    const [row] = await owner.sql`select email, personal from "order".orders where id = ${uuidOf(id)}`;
    expect(row!.email).toBe("");
    expect(row!.personal).not.toBeNull();
  });

  test("of a guest's order is erased by command, of nobody else, and the order stays", async () => {
    const [gone, kept] = [await bought(), await bought()];
    const erased = await mall("data-keys", "erase", gone.id);
    expect([erased.exitCode, erased.text]).toEqual([0, expect.stringContaining(gone.id)]);
    const order = await gone.read();
    expect([order.email, order.shippingAddress, order.state]).toEqual(["", undefined, "ORDER_STATE_PAID"]);
    expect((await kept.read()).email).toBe("ada@example.com");
    expect((await mall("data-keys", "erase", "ada@example.com")).exitCode).toBe(2);
  });

  test("of a user is erased in every service, and the address is free again", async () => {
    const { token, id, email, password } = await newUser();
    await rest("PATCH", "/v1/me", { phone: "+15551234567" }, { token });
    expect((await mall("data-keys", "erase", id)).exitCode).toBe(0);
    expect([401, 404]).toContain((await rest("GET", "/v1/me", undefined, { token })).status);
    expect((await rest("POST", "/v1/auth/login", { email, password })).status).toBe(401);
    expect((await rest("POST", "/v1/auth/register", { email, password })).status).toBe(201);
    const events = await mall("audit", "list", "--subject", id, "--action", "ErasePersonalData");
    expect(events.text.match(/actor=command/g)).toHaveLength(7);
  });

  test("is left alone by a rotation when the master key is what it was", async () => {
    const { read } = await bought();
    const before = await read();
    const rotated = await mall("data-keys", "rotate");
    expect([rotated.exitCode, rotated.text]).toEqual([0, "0 data keys wrapped by the newest master key\n"]);
    expect(await read()).toEqual(before);
  });
});

test("nothing starts on the data of another master key, and the sentence says why", async () => {
  const { databaseUrl } = await host();
  for (const script of ["apps/mall/start.ts", "apps/mall/cli.ts"]) {
    const run = Bun.spawn(["bun", script, "reconcile", "stock"], {
      cwd: new URL("../../..", import.meta.url).pathname,
      env: {
        ...{ ...process.env, MALL_ENV: "test", DATABASE_URL: databaseUrl, LOG_LEVEL: "error" },
        ...{ PORT: "0", GRPC_PORT: "0", MALL_MASTER_KEY: "the master key of some other mall altogether" },
      },
      ...{ stdout: "pipe", stderr: "pipe" },
    });
    expect(await new Response(run.stderr).text()).toMatch(
      /^MALL_MASTER_KEY is not the key that the \w+ service/,
    );
    expect(await run.exited).toBe(1);
  }
});
