import journal from "@mall/db/migrations/checkout/meta/_journal.json";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { OrderService } from "@mall/gen/mall/order/v1/order_pb";
import { PaymentService } from "@mall/gen/mall/payment/v1/payment_pb";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import openapi from "@mall/gen/openapi/checkout.json";
import { createApp, createKernel, type MallApp, type Resources } from "@mall/kernel/app";
import { watchedBreaker } from "@mall/kernel/breaker";
import { parseEnv } from "@mall/kernel/env";
import { sweep } from "./application/sweep";
import type { Deps } from "./deps";
import { checkoutEnv } from "./env";
import { purchaseAdmission } from "./transport/admission";
import { encodeAnswer } from "./transport/codec";
import { checkoutConsumers } from "./transport/events";
import { checkoutRpc } from "./transport/rpc";

/** The checkout service on a host's resources. */
export function createCheckoutService(resources: Resources): MallApp {
  const env = parseEnv(checkoutEnv, resources.env);
  const kernel = createKernel("checkout", resources, env);
  const { settings } = kernel;
  const unpaidOrderTtlSeconds = () =>
    settings.get("checkout.unpaid-order-seconds") ?? env.UNPAID_ORDER_TTL_SECONDS;
  const deps: Deps = {
    ...kernel,
    rpc: {
      cart: kernel.client(CartService),
      product: kernel.client(ProductService),
      inventory: kernel.client(InventoryService),
      order: kernel.client(OrderService),
      payment: kernel.client(PaymentService),
    },
    encodeAnswer,
    currency: env.CURRENCY,
    payments: watchedBreaker(kernel, "payment", { failuresMax: 5, pauseMs: 1_000 }),
    unpaidOrderTtlSeconds,
    holdTtlSeconds: () => Math.min(env.HOLD_TTL_SECONDS ?? Infinity, unpaidOrderTtlSeconds()),
  };
  return createApp(kernel, {
    implementations: [checkoutRpc(deps)],
    consumers: checkoutConsumers(deps),
    admission: purchaseAdmission(
      () => settings.get("checkout.concurrency") ?? env.CHECKOUT_CONCURRENCY,
      () => settings.get("checkout.open") ?? true,
    ),
    migrations: journal.entries.length,
    openapi,
    sweep: sweep(deps),
  });
}
