import { expect, test } from "bun:test";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { asCommand } from "@mall/kernel/rpc/context";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { newHandle, productSuite, rowsOf } from "./testing";

const { mall, commands, sell, importRows, variantIdOf } = productSuite();

test("changes of stock are in the audit log once each, with who made them and by how much", async () => {
  const { handle, ids } = await sell(10);
  const subject = ids[0]!;
  const user = { id: mall().newId("usr"), roles: ["staff"] };
  const clerk = (idempotencyKey: string = crypto.randomUUID()) =>
    mall().client(InventoryService, { user, idempotencyKey, client: { address: "192.0.2.7" } });
  const key = crypto.randomUUID();
  for (const _ of [1, 2]) await clerk(key).adjustStock({ variantId: subject, delta: -2 });
  mall().clock.advance(1);
  await clerk().receiveStock({ variantId: subject, quantity: 5 });
  mall().clock.advance(1);
  for (const _ of [1, 2]) await asCommand(() => commands().setStock(`${handle}-0`, 3));
  expect(await reasonOf(clerk().adjustStock({ variantId: subject, delta: -100 }))).toBe("OUT_OF_STOCK");
  const actor = { kind: "user" as const, id: user.id };
  expect(await mall().audit({ subject })).toMatchObject([
    { action: "SetStock", actor: { kind: "command" }, metadata: { delta: -10 } },
    { action: "ReceiveStock", actor, metadata: { delta: 5 }, clientAddress: "192.0.2.7" },
    { action: "AdjustStock", actor, metadata: { delta: -2 } },
  ]);
});

test("an import is in the audit log with what it changed", async () => {
  mall().clock.advance(1);
  const handle = newHandle();
  await importRows(rowsOf(handle, [{ units: 1 }, { units: 2 }]));
  expect(await variantIdOf(`${handle}-1`)).toStartWith("var_");
  expect(await mall().audit({ action: "ImportProducts", since: mall().clock() })).toMatchObject([
    { actor: { kind: "command" }, metadata: { created: 1, updated: 0, variants: 2, setStock: false } },
  ]);
});
