import { UserDeletedSchema } from "@mall/gen/mall/user/v1/events_pb";
import { type Consumer, consumer } from "@mall/kernel/bus/consume";
import type { Id } from "@mall/kernel/id";
import { erasePersonal } from "@mall/kernel/personal/erase";
import type { Deps } from "../deps";

/** Events that the payment service listens to. */
export const paymentConsumers = (deps: Deps): Consumer[] => [
  consumer(UserDeletedSchema, (tx, data) => erasePersonal(deps)(tx, data.userId as Id<"usr">)),
];
