import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { type Id, isId } from "@mall/kernel/id";
import { foreignToken, pagePosition, pageToken } from "@mall/kernel/page-token";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { blockUser } from "../application/block-user";
import { deleteRole } from "../application/delete-role";
import { deleteRule } from "../application/delete-rule";
import { describePolicy } from "../application/describe-policy";
import { getPolicy } from "../application/get-policy";
import { listBlockedUsers } from "../application/list-blocked-users";
import { setRole } from "../application/set-role";
import { setRule } from "../application/set-rule";
import { unblockUser } from "../application/unblock-user";
import type { Deps } from "../deps";
import { effectOf, knownOf, newsToMessage, policyToMessage, ruleToMessage } from "./policy-codec";

const blockedQuery = "blocked-users";

/** The user a page starts after. Fault VALIDATION for a token that is none. */
function userAfter(token: string): string | undefined {
  const position = pagePosition(blockedQuery, token);
  if (position !== undefined && !isId(position)) throw foreignToken();
  return position;
}

/** PolicyService on the application's use cases. */
export const policyRpc = (deps: Deps): Implementation =>
  implement(PolicyService, {
    getPolicy: async (request) => newsToMessage(await getPolicy(deps)(knownOf(request))),
    describePolicy: async () => ({ policy: policyToMessage(await describePolicy(deps)()) }),
    setRole: async ({ name, description, permissions }) => ({
      role: await setRole(deps)({ name, description, permissions }),
    }),
    async deleteRole({ name }) {
      await deleteRole(deps)(name);
      return {};
    },
    setRule: async ({ name, effect, pattern, roles }) => ({
      rule: ruleToMessage(await setRule(deps)({ name, effect: effectOf(effect), pattern, roles })),
    }),
    async deleteRule({ name }) {
      await deleteRule(deps)(name);
      return {};
    },
    async blockUser({ userId }) {
      await blockUser(deps)(userId as Id<"usr">);
      return {};
    },
    async unblockUser({ userId }) {
      await unblockUser(deps)(userId as Id<"usr">);
      return {};
    },
    async listBlockedUsers({ pageSize, pageToken: token }) {
      const { userIds, next } = await listBlockedUsers(deps)({
        size: pageSize ?? 20,
        after: userAfter(token),
      });
      return { userIds, nextPageToken: next ? pageToken(blockedQuery, next) : "" };
    },
  });
