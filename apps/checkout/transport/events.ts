import { OrderCancelledSchema } from "@mall/gen/mall/order/v1/events_pb";
import { type Consumer, consumer } from "@mall/kernel/bus/consume";
import type { Id } from "@mall/kernel/id";
import { orderCancelled } from "../application/order-cancelled";
import type { Deps } from "../deps";

/** Events that the checkout service listens to. */
export const checkoutConsumers = (deps: Deps): Consumer[] => [
  consumer(OrderCancelledSchema, (tx, { checkoutId, reason }) =>
    orderCancelled(deps)(tx, checkoutId as Id<"chk">, reason),
  ),
];
