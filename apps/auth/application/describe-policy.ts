import { findPolicy } from "../db/policy";
import type { Deps } from "../deps";
import type { Policy } from "../domain/policy";

/** The roles and rules in force. */
export const describePolicy =
  ({ db }: Pick<Deps, "db">) =>
  async (): Promise<Policy> =>
    (await findPolicy(db)).policy;
