import type { Client } from "@connectrpc/connect";
import type { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import type { Kernel } from "@mall/kernel/app";

/** What the user service needs. */
export interface Deps extends Pick<Kernel, "db" | "clock" | "newId" | "audit" | "announce"> {
  rpc: { auth: Client<typeof AuthService> };
}
