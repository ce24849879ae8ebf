import type { Kernel } from "@mall/kernel/app";
import type { SigningKeys } from "./application/signing-keys";
import type { Passwords } from "./password/port";

/** What the auth service needs. */
export interface Deps extends Pick<Kernel, "db" | "clock" | "newId" | "announce" | "secrets" | "audit"> {
  passwords: Passwords;
  keys: SigningKeys;
  accessTtlSeconds: number;
  refreshTtlSeconds: number;
}
