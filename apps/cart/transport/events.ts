import { ProductChangedSchema } from "@mall/gen/mall/product/v1/events_pb";
import { type Consumer, consumer } from "@mall/kernel/bus/consume";
import { forgetSoldVariants } from "../application/known-variants";
import type { Deps } from "../deps";

/** What the cart service does with events of others. */
export const cartConsumers = (deps: Deps): Consumer[] => [
  // before the transaction: a cache has none, and to forget twice does no harm
  consumer(
    ProductChangedSchema,
    async () => {},
    (_, event) => forgetSoldVariants(deps)(new Date(event.time)),
  ),
];
