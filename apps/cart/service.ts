import journal from "@mall/db/migrations/cart/meta/_journal.json";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import openapi from "@mall/gen/openapi/cart.json";
import { createApp, createKernel, type MallApp, type Resources } from "@mall/kernel/app";
import { parseEnv } from "@mall/kernel/env";
import type { Deps } from "./deps";
import { cartEnv } from "./env";
import { cartRpc } from "./transport/rpc";

/** The cart service on a host's resources. */
export function createCartService(resources: Resources): MallApp {
  const env = parseEnv(cartEnv, resources.env);
  const kernel = createKernel("cart", resources, env);
  const deps: Deps = { ...kernel, rpc: { product: kernel.client(ProductService) }, currency: env.CURRENCY };
  return createApp(kernel, {
    implementations: [cartRpc(deps)],
    migrations: journal.entries.length,
    openapi,
  });
}
