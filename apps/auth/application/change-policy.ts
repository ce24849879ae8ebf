import { type AuditEntry, actorOf } from "@mall/kernel/audit/event";
import type { Tx } from "@mall/kernel/db/client";
import { currentRequest } from "@mall/kernel/rpc/context";
import { beginChange, endChange } from "../db/policy";
import type { Deps } from "../deps";

/** What a change of the policy needs. */
export type PolicyDeps = Pick<Deps, "db" | "clock" | "audit">;

/** Changes of who is blocked leave roles and rules as they are. */
const blocking: readonly string[] = ["BlockUser", "UnblockUser"];

/** Runs one change of the policy: its revision counts up with it, and changes come one after another. */
export const changePolicy = (
  { db, clock, audit }: PolicyDeps,
  entry: AuditEntry,
  change: (tx: Tx, now: Date) => Promise<void>,
): Promise<void> =>
  db.tx(async (tx) => {
    await beginChange(tx);
    const at = clock();
    await change(tx, at);
    const { kind, id } = actorOf("auth", currentRequest.getStore());
    const { action, subject = "" } = entry;
    await endChange(tx, { at, author: id ?? kind, action, subject }, !blocking.includes(action));
    await audit.record(tx, entry);
  });
