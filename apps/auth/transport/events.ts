import { UserDeletedSchema } from "@mall/gen/mall/user/v1/events_pb";
import { type Consumer, consumer } from "@mall/kernel/bus/consume";
import type { Id } from "@mall/kernel/id";
import { eraseAccount } from "../application/erase-account";
import type { Deps } from "../deps";

/** What the auth service does with events of others. */
export const authConsumers = (deps: Deps): Consumer[] => [
  consumer(UserDeletedSchema, (tx, data) => eraseAccount(deps)(tx, data.userId as Id<"usr">)),
];
