import type { Client } from "@connectrpc/connect";
import type { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import type { Kernel } from "@mall/kernel/app";
import type { PersonalRows } from "@mall/kernel/personal/personal";
import type { Person } from "./domain/profile";

/** What the user service needs. */
export interface Deps extends Pick<Kernel, "db" | "clock"> {
  /** What is personal in profiles. */
  people: PersonalRows<Person>;
  rpc: { auth: Client<typeof AuthService> };
}
