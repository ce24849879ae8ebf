import type { AuditEntry } from "@mall/kernel/audit/event";
import type { Tx } from "@mall/kernel/db/client";
import { beginChange } from "../db/policy";
import type { Deps } from "../deps";

/** What a change of the policy needs. */
export type PolicyDeps = Pick<Deps, "db" | "clock" | "audit">;

/** Runs one change of the policy: its revision counts up with it, and changes come one after another. */
export const changePolicy = (
  { db, clock, audit }: PolicyDeps,
  entry: AuditEntry,
  change: (tx: Tx, now: Date) => Promise<void>,
): Promise<void> =>
  db.tx(async (tx) => {
    await beginChange(tx);
    await change(tx, clock());
    await audit.record(tx, entry);
  });
