import type { Id } from "@mall/kernel/id";
import { later } from "@mall/kernel/time";
import { findPolicy, findRevision, listRevocations } from "../db/policy";
import type { Deps } from "../deps";
import type { Policy, Revocation } from "../domain/policy";

/** What a gate knows already. */
export interface KnownPolicy {
  revision?: bigint;
  revocationsAt?: Date;
}

/** What a gate does not know yet. */
export interface PolicyNews {
  /** Absent when it is known. */
  changed?: { policy: Policy; blocked: Id<"usr">[] };
  revocations: Revocation[];
  asOf: Date;
}

/** Transactions of this length may commit after revocations that were recorded later were read. */
const overlapSeconds = 30;

/** Reads what has changed since: everything for a gate that knows nothing. */
export const getPolicy =
  ({ db, clock }: Pick<Deps, "db" | "clock">) =>
  async ({ revision, revocationsAt }: KnownPolicy): Promise<PolicyNews> => {
    const asOf = clock();
    const recordedAfter = revocationsAt ? later(revocationsAt, -overlapSeconds) : new Date(0);
    const [current, revocations] = await Promise.all([
      findRevision(db),
      listRevocations(db, recordedAfter, asOf),
    ]);
    const changed = current === revision ? undefined : await findPolicy(db);
    return { changed, revocations, asOf };
  };
