import type { Kernel } from "@mall/kernel/app";
import type { VerifyAccessToken } from "@mall/kernel/identity/access-token";
import type { Mailer } from "@mall/kernel/mailer/port";
import type { SigningKeys } from "./application/signing-keys";
import type { ConfigStore } from "./config/port";
import type { People } from "./db/people";
import type { BuiltInPermissions } from "./domain/policy";
import type { Passwords } from "./password/port";

/** What the auth service needs. */
export interface Deps
  extends Pick<Kernel, "db" | "clock" | "newId" | "announce" | "secrets" | "audit" | "settings"> {
  passwords: Passwords;
  /** Whether a password is among those that everybody tries first. */
  isCommonPassword(password: string): boolean;
  /** What is personal in accounts. */
  people: People;
  mailer: Mailer;
  verifyAccessToken: VerifyAccessToken;
  config: ConfigStore;
  /** The same, for those who look each second and go on with what they know. */
  gateConfig: Pick<ConfigStore, "newest">;
  keys: SigningKeys;
  /** Every permission of the contract and the built-in roles that have it. */
  permissions: BuiltInPermissions;
  accessTtlSeconds: number;
  refreshTtlSeconds: number;
}
