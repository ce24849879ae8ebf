import type { Client } from "@connectrpc/connect";
import type { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import type { Kernel } from "@mall/kernel/app";
import type { PersonalRows } from "@mall/kernel/personal/personal";
import type { Address } from "./domain/address";
import type { Person } from "./domain/profile";

/** What the user service needs. */
export interface Deps extends Pick<Kernel, "db" | "clock" | "newId" | "audit" | "announce" | "personal"> {
  /** What is personal in profiles. */
  people: PersonalRows<Person>;
  /** What is personal in the addresses that users keep. */
  places: PersonalRows<Address>;
  rpc: { auth: Client<typeof AuthService> };
}
