import journal from "@mall/db/migrations/cart/meta/_journal.json";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import openapi from "@mall/gen/openapi/cart.json";
import { createApp, createKernel, type MallApp, type Resources } from "@mall/kernel/app";
import { cacheOf } from "@mall/kernel/cache/settings";
import { parseEnv } from "@mall/kernel/env";
import type { Deps } from "./deps";
import { cartEnv } from "./env";
import { cartConsumers } from "./transport/events";
import { cartRpc } from "./transport/rpc";

/** Of several instances an event reaches one: what the others keep each for itself must not grow older than this. */
const aloneMsMax = 1_000;

/** The cart service on a host's resources. */
export function createCartService(resources: Resources): MallApp {
  const env = parseEnv(cartEnv, resources.env);
  const kernel = createKernel("cart", resources, env);
  const { cache, isShared } = cacheOf(env, kernel);
  const keptMs = env.OFFER_CACHE_MS ?? (env.MALL_ENV === "production" ? aloneMsMax : 0);
  const deps: Deps = {
    ...kernel,
    rpc: { product: kernel.client(ProductService) },
    currency: env.CURRENCY,
    cache,
    offersKeptMs: isShared ? keptMs : Math.min(keptMs, aloneMsMax),
    background: (work) => resources.background(work),
  };
  return createApp(kernel, {
    implementations: [cartRpc(deps)],
    consumers: cartConsumers(deps),
    migrations: journal.entries.length,
    openapi,
  });
}
