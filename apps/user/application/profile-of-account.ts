import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import { newProfile, type Profile } from "../domain/profile";

/** What auth knows of a user. */
export interface KnownAccount {
  email: string;
  displayName: string;
  roles: string[];
  registeredAt: Date;
}

/** An account as auth knows it. Fault ACCOUNT_NOT_FOUND, from auth. */
export const accountOf =
  (deps: Pick<Deps, "rpc">) =>
  async (userId: Id<"usr">): Promise<KnownAccount> => {
    const { account } = await deps.rpc.auth.getAccount({ userId });
    const { email, displayName, roles, createdAt } = account!;
    return { email, displayName, roles, registeredAt: timestampDate(createdAt!) };
  };

/** The profile that a user starts with. Fault ACCOUNT_NOT_FOUND, from auth. */
export const profileOfAccount =
  (deps: Pick<Deps, "rpc" | "clock">) =>
  async (id: Id<"usr">): Promise<Profile> => {
    const { email, displayName } = await accountOf(deps)(id);
    return newProfile({ id, email, displayName }, deps.clock());
  };
