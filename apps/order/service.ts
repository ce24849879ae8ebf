import journal from "@mall/db/migrations/order/meta/_journal.json";
import { PaymentService } from "@mall/gen/mall/payment/v1/payment_pb";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import openapi from "@mall/gen/openapi/order.json";
import { createApp, createKernel, type MallApp, type Resources } from "@mall/kernel/app";
import { parseEnv } from "@mall/kernel/env";
import { sweep } from "./application/sweep";
import { clearOrders } from "./db/clear-orders";
import type { Deps } from "./deps";
import { orderEnv } from "./env";
import { orderConsumers } from "./transport/events";
import { orderRpc } from "./transport/rpc";

/** The order service on a host's resources. */
export function createOrderService(resources: Resources): MallApp {
  const kernel = createKernel("order", resources, parseEnv(orderEnv, resources.env));
  const deps: Deps = {
    ...kernel,
    people: kernel.personal.rows("orders"),
    rpc: { inventory: kernel.client(InventoryService), payment: kernel.client(PaymentService) },
  };
  return createApp(kernel, {
    implementations: [orderRpc(deps)],
    consumers: orderConsumers(deps),
    migrations: journal.entries.length,
    openapi,
    clear: [clearOrders],
    sweep: sweep(deps),
  });
}
