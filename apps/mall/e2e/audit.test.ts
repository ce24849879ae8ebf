import { beforeAll, describe, expect, test } from "bun:test";
import { unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDb } from "@mall/kernel/db/client";
import { mall, newAdmin, newApiKey, newUserWith } from "./command";
import { host, hostKind } from "./host";
import { guestWith, inStock, newKey, newUser, type Options, placeOrder, rest } from "./shop";

let admin: Options;
beforeAll(async () => {
  await host();
  admin = await newAdmin();
});

/** Lines of `audit list`, oldest first. */
const listed = async (...filter: string[]): Promise<string[]> => {
  const { exitCode, text } = await mall("audit", "list", ...filter);
  expect(exitCode).toBe(0);
  return text.trim().split("\n").reverse();
};

/** What a verification says once everything has its seal. */
async function verified(...options: string[]) {
  for (let tries = 0; ; tries++) {
    const { exitCode, text } = await mall("audit", "verify", ...options);
    if (!text.includes("wait for their seal") || tries > 60) return { exitCode, text };
    await Bun.sleep(500);
  }
}

/** What a client may say to be taken for somebody else. */
const claims = {
  "x-client-address": "198.51.100.7",
  "x-forwarded-for": "198.51.100.7",
  "x-real-ip": "198.51.100.7",
};

describe(`the audit log (${hostKind})`, () => {
  test("tells who signed in and who failed to, from the address of their connection", async () => {
    const { id, email, password } = await newUser();
    const login = (secret: string) =>
      rest("POST", "/v1/auth/login", { email, password: secret }, { headers: claims });
    expect((await login("a wrong password")).status).toBe(401);
    expect((await login(password)).status).toBe(200);
    const lines = await listed("--service", "auth", "--actor", id, "--since", "1h");
    expect(lines).toEqual([
      expect.stringMatching(
        / Register {2}ok {2}actor=user:usr_\w+ {2}subject=usr_\w+ {2}address=(127\.|::1)/,
      ),
      expect.stringMatching(/ Login {2}ok {2}actor=user:usr_\w+ {2}subject=ses_\w+ {2}address=(127\.|::1)/),
    ]);
    const refused = await listed("--subject", id, "--outcome", "refused");
    expect(refused).toEqual([
      expect.stringMatching(/ Login {2}refused {2}INVALID_CREDENTIALS {2}actor=guest .*address=(127\.|::1)/),
    ]);
    expect([...lines, ...refused].join()).not.toContain(email);
  });

  test("tells what staff does with stock and money, and who only tried", async () => {
    const variant = await inStock();
    const path = `/v1/inventory/${variant.id}`;
    const body = { quantity: 3 };
    const customer = await newUser();
    expect((await rest("POST", `${path}/receive`, body, { ...customer, key: newKey() })).status).toBe(403);
    expect((await rest("POST", `${path}/receive`, body, { ...admin, key: newKey() })).status).toBe(200);
    const placed = await placeOrder(await guestWith(variant));
    const holder = { orderSecret: placed.body.orderSecret! };
    const orderPath = `/v1/orders/${placed.body.order.id}`;
    const paid = await rest<{ payments: { id: string }[] }>(
      "GET",
      `${orderPath}/payments`,
      undefined,
      holder,
    );
    const paymentId = paid.body.payments[0]!.id;
    const refund = { amount: { currency: "USD", minor: "1" } };
    const sent = await rest("POST", `/v1/payments/${paymentId}/refunds`, refund, { ...admin, key: newKey() });
    expect(sent.status).toBe(201);
    expect((await rest("POST", `${orderPath}/cancel`, {}, holder)).status).toBe(200);
    const newest = async (...filter: string[]) => (await listed(...filter)).at(-1);
    expect(await newest("--subject", variant.id)).toMatch(/ReceiveStock {2}ok {2}actor=user:.*delta=3$/);
    expect(await newest("--actor", customer.id)).toMatch(/ReceiveStock {2}refused {2}FORBIDDEN/);
    expect(await newest("--subject", paymentId)).toMatch(/CreateRefund {2}ok {2}actor=user:.*amountMinor=1$/);
    expect(await newest("--subject", placed.body.order.id)).toMatch(/CancelOrder {2}ok {2}actor=guest/);
  });

  test("tells who made, rotated and ended a key, and what the machine did with it", async () => {
    const variant = await inStock();
    const creator = await newUserWith("customer", "staff");
    const { id, key } = await newApiKey(creator, "stock.receive");
    const receive = rest(
      "POST",
      `/v1/inventory/${variant.id}/receive`,
      { quantity: 1 },
      { token: key, key: newKey() },
    );
    expect((await receive).status).toBe(200);
    expect((await rest("POST", `/v1/api-keys/${id}/rotate`, {}, creator)).status).toBe(200);
    expect((await rest("DELETE", `/v1/api-keys/${id}`, undefined, creator)).status).toBe(200);
    expect(await listed("--subject", id)).toEqual([
      expect.stringMatching(/ CreateApiKey {2}ok {2}actor=user:usr_/),
      expect.stringMatching(/ RotateApiKey {2}ok {2}actor=user:usr_/),
      expect.stringMatching(/ RevokeApiKey {2}ok {2}actor=user:usr_/),
    ]);
    expect(await listed("--actor", id)).toEqual([
      expect.stringMatching(/ ReceiveStock {2}ok {2}actor=key:key_/),
    ]);
  });

  test("is verified, and what an owner of the database changes is found with exit code 1", async () => {
    const clean = await verified();
    expect([clean.exitCode, clean.text]).toEqual([
      0,
      expect.stringMatching(/^auth: [1-9][0-9]* events are sealed and unchanged$/m),
    ]);
    const file = join(tmpdir(), `head-${crypto.randomUUID()}.jsonl`);
    await Bun.write(file, (await mall("audit", "head")).text);
    const owner = openDb({ url: (await host()).databaseUrl, max: 1 });
    const [{ id, action }] = (await owner.sql`select e.id, e.action from auth.audit_seals s
      join auth.audit_events e on e.id = s.event_id where s.sequence = 2`) as unknown as [
      { id: string; action: string },
    ];
    const rename = (to: string) => owner.sql`update auth.audit_events set action = ${to} where id = ${id}`;
    try {
      await rename("Nothing");
      const found = await verified("--service", "auth", "--head", file);
      expect(found.exitCode).toBe(1);
      expect(found.text).toContain(`auth: first bad row: sequence 2, event ${id}:`);
      await rename(action);
      expect((await verified("--head", file)).exitCode).toBe(0);
    } finally {
      await owner.close();
      await unlink(file);
    }
  });

  test("tells what it does not understand with exit code 2", async () => {
    const wrong = [
      ["frobnicate"],
      ["list", "--outcome", "maybe"],
      ["list", "--since", "yesterday"],
      ["list", "--limit", "0"],
      ["list", "--colour", "red"],
      ["verify", "--service", "nobody"],
      ["verify", "--head", "/no/such/file"],
      ["verify", "--head", "package.json"],
    ];
    for (const args of wrong) expect([args, (await mall("audit", ...args)).exitCode]).toEqual([args, 2]);
  });
});
