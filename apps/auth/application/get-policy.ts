import type { Id } from "@mall/kernel/id";
import { later } from "@mall/kernel/time";
import type { Revision } from "../config/port";
import { findPolicy, findRevision, listRevocations } from "../db/policy";
import type { Deps } from "../deps";
import type { Policy, Revocation } from "../domain/policy";

/** What a gate knows already. */
export interface KnownPolicy {
  revision?: bigint;
  revocationsAt?: Date;
  configRevision?: number;
}

/** What a gate does not know yet. */
export interface PolicyNews {
  /** Absent when it is known. */
  changed?: { policy: Policy; blocked: Id<"usr">[] };
  revocations: Revocation[];
  /** Absent when it is known, when nothing was ever set, and while it cannot be read. */
  config?: Revision;
  asOf: Date;
}

/** Transactions of this length may commit after revocations that were recorded later were read. */
const overlapSeconds = 30;

/** Reads what has changed since: everything for a gate that knows nothing. */
export const getPolicy =
  ({ db, clock, gateConfig }: Pick<Deps, "db" | "clock" | "gateConfig">) =>
  async ({ revision, revocationsAt, configRevision }: KnownPolicy): Promise<PolicyNews> => {
    const asOf = clock();
    const recordedAfter = revocationsAt ? later(revocationsAt, -overlapSeconds) : new Date(0);
    const [current, revocations, newest] = await Promise.all([
      findRevision(db),
      listRevocations(db, recordedAfter, asOf),
      // the gates go on with the settings they know while these cannot be read
      gateConfig.newest().catch(() => undefined),
    ]);
    const changed = current === revision ? undefined : await findPolicy(db);
    return { changed, revocations, config: newest?.revision === configRevision ? undefined : newest, asOf };
  };
