import { EmailChangedSchema, UserRegisteredSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { type Consumer, consumer } from "@mall/kernel/bus/consume";
import type { Id } from "@mall/kernel/id";
import { findNewEmail, heedNewEmail } from "../application/heed-new-email";
import { findNewcomer, welcomeUser } from "../application/welcome-user";
import type { Deps } from "../deps";
import type { Profile } from "../domain/profile";

/** What the user service does with events of others. */
export const userConsumers = (deps: Deps): Consumer[] => [
  consumer(
    UserRegisteredSchema,
    (tx, _data, _event, newcomer: Profile | undefined) => welcomeUser(deps)(tx, newcomer),
    (data) => findNewcomer(deps)(data.userId as Id<"usr">),
  ),
  consumer(
    EmailChangedSchema,
    (tx, data, { sequence }, email: string | undefined) =>
      heedNewEmail(deps)(tx, data.userId as Id<"usr">, Number(sequence), email),
    (data) => findNewEmail(deps)(data.userId as Id<"usr">),
  ),
];
