import type { AuditEntry } from "@mall/kernel/audit/event";
import { audited } from "@mall/kernel/audit/refusal";
import type { Tx } from "@mall/kernel/db/client";
import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findAccess, lockAdmins } from "../db/access";
import type { Deps } from "../deps";
import { type Access, checkAdminsLeft } from "../domain/access";

/** What a change of roles or status needs. */
export type AccessDeps = Pick<Deps, "db" | "clock" | "audit">;

/**
 * Runs one change of what an account may do, which tells whether it changed anything, and tells what it is since. Only
 * what changed is an event. Fault ACCOUNT_NOT_FOUND.
 */
export const changeAccess = (
  { db, clock, audit }: AccessDeps,
  userId: Id<"usr">,
  entry: Omit<AuditEntry, "subject">,
  change: (tx: Tx, now: Date) => Promise<boolean>,
): Promise<Access> =>
  db.tx(async (tx) => {
    if (await change(tx, clock())) await audit.record(tx, { ...entry, subject: userId });
    const access = await findAccess(tx, userId);
    if (!access) throw notFound("ACCOUNT");
    return access;
  });

/** Fault LAST_ADMIN, written down, when a user is the last administrator; nobody else stops being one meanwhile. */
export async function keepAnAdmin(tx: Tx, userId: Id<"usr">, action: string): Promise<void> {
  const admins = await lockAdmins(tx);
  try {
    checkAdminsLeft(admins, userId);
  } catch (error) {
    throw audited(error, { action, subject: userId });
  }
}
