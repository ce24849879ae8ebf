import { fault, invalid } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";

/** What administrators decide about one account. */
export interface Access {
  userId: Id<"usr">;
  roles: string[];
  /** Why the user may not sign in; undefined while the user may. */
  banReason?: string;
}

/** Roles that the contract names. */
export const builtInRoles: readonly string[] = ["customer", "staff", "admin"];

/** Roles that one account may have: access tokens carry them. */
export const rolesMax = 20;

/** Fault VALIDATION for the role that every account has. */
export function checkGrantable(role: string): void {
  if (role !== "customer") return;
  throw invalid([{ parameter: "role", pointer: "#/role", detail: "is the role that every account has" }]);
}

/** Fault LAST_ADMIN when nobody would be left who can administer: `admins` are those who can now. */
export function checkAdminsLeft(admins: readonly Id<"usr">[], without: Id<"usr">): void {
  if (admins.length === 1 && admins[0] === without)
    throw fault(
      "failed_precondition",
      "LAST_ADMIN",
      "This is the last administrator; make another one first.",
    );
}
