import type { Tx } from "@mall/kernel/db/client";
import { beginChange } from "../db/policy";
import type { Deps } from "../deps";

/** Runs one change of the policy: its revision counts up with it, and changes come one after another. */
export const changePolicy = (
  { db, clock }: Pick<Deps, "db" | "clock">,
  change: (tx: Tx, now: Date) => Promise<void>,
): Promise<void> =>
  db.tx(async (tx) => {
    await beginChange(tx);
    await change(tx, clock());
  });
