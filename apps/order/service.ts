import journal from "@mall/db/migrations/order/meta/_journal.json";
import openapi from "@mall/gen/openapi/order.json";
import { createApp, createKernel, type MallApp, type Resources } from "@mall/kernel/app";
import { parseEnv } from "@mall/kernel/env";
import { orderEnv } from "./env";
import { orderRpc } from "./transport/rpc";

/** The order service on a host's resources. */
export function createOrderService(resources: Resources): MallApp {
  const kernel = createKernel("order", resources, parseEnv(orderEnv, resources.env));
  return createApp(kernel, {
    implementations: [orderRpc(kernel)],
    migrations: journal.entries.length,
    openapi,
  });
}
