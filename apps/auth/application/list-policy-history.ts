import { listRevisions, type PolicyRevision } from "../db/policy-history";
import type { Deps } from "../deps";

const pageSize = 100;

/** Every change of the policy, newest first. */
export const listPolicyHistory = ({ db }: Pick<Deps, "db">) =>
  async function* (): AsyncGenerator<PolicyRevision> {
    for (let before: bigint | undefined; ; ) {
      const page = await listRevisions(db, before, pageSize);
      yield* page;
      if (page.length < pageSize) return;
      before = page.at(-1)!.revision;
    }
  };
