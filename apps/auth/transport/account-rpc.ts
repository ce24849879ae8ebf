import { AccountService, UserStatus } from "@mall/gen/mall/auth/v1/accounts_pb";
import type { Id } from "@mall/kernel/id";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { getUserAccess } from "../application/get-user-access";
import { grantRole } from "../application/grant-role";
import { revokeRole } from "../application/revoke-role";
import { setUserStatus } from "../application/set-user-status";
import type { Deps } from "../deps";
import type { Access } from "../domain/access";

const accessToMessage = ({ userId, roles, banReason }: Access) => ({
  access: {
    userId,
    roles,
    status: banReason === undefined ? UserStatus.ACTIVE : UserStatus.BANNED,
    banReason,
  },
});

/** AccountService on the application's use cases. */
export const accountRpc = (deps: Deps): Implementation =>
  implement(AccountService, {
    getUserAccess: async ({ userId }) => accessToMessage(await getUserAccess(deps)(userId as Id<"usr">)),
    async setUserStatus({ userId, status, reason }) {
      const isBanned = status === UserStatus.BANNED;
      return accessToMessage(await setUserStatus(deps)(userId as Id<"usr">, { isBanned, reason }));
    },
    grantRole: async ({ userId, role }) => accessToMessage(await grantRole(deps)(userId as Id<"usr">, role)),
    revokeRole: async ({ userId, role }) =>
      accessToMessage(await revokeRole(deps)(userId as Id<"usr">, role)),
  });
