import journal from "@mall/db/migrations/product/meta/_journal.json";
import openapi from "@mall/gen/openapi/product.json";
import { createApp, createKernel, type Kernel, type MallApp, type Resources } from "@mall/kernel/app";
import { parseEnv } from "@mall/kernel/env";
import { expireHolds } from "./application/expire-holds";
import { setStock } from "./application/set-stock";
import type { Deps } from "./deps";
import type { Stock } from "./domain/stock";
import { productEnv } from "./env";
import { inventoryRpc, productRpc } from "./transport/rpc";

function compose(resources: Resources): { kernel: Kernel; deps: Deps } {
  const env = parseEnv(productEnv, resources.env);
  const kernel = createKernel("product", resources, env);
  const { CURRENCY: currency, LOW_STOCK_THRESHOLD: lowAt, HOLD_UNITS_PER_USER } = env;
  return { kernel, deps: { ...kernel, currency, lowAt, unitsPerUserMax: HOLD_UNITS_PER_USER || undefined } };
}

/** The product service, catalogue and inventory, on a host's resources. */
export function createProductService(resources: Resources): MallApp {
  const { kernel, deps } = compose(resources);
  return createApp(kernel, {
    implementations: [productRpc(deps), inventoryRpc(deps)],
    migrations: journal.entries.length,
    openapi,
    sweep: expireHolds(deps),
  });
}

/** What the command line does with the product service beyond its RPCs. */
export function createProductCommands(resources: Resources): {
  setStock(sku: string, quantity: number): Promise<Stock>;
} {
  return { setStock: setStock(compose(resources).deps) };
}
