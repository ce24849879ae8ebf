import type { HandlerContext } from "@connectrpc/connect";
import { UserService } from "@mall/gen/mall/user/v1/user_pb";
import { type Id, isId } from "@mall/kernel/id";
import { foreignToken, pagePosition, pageToken } from "@mall/kernel/page-token";
import { requestKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { deleteMe } from "../application/delete-me";
import { exportMe } from "../application/export-me";
import { getMe } from "../application/get-me";
import { getUser } from "../application/get-user";
import { listUsers } from "../application/list-users";
import { updateMe } from "../application/update-me";
import type { Deps } from "../deps";
import { exportToMessage, profileToMessage } from "./codec";

const userOf = (context: HandlerContext): Id<"usr"> => context.values.get(requestKey).actor.user!.id;

const listQuery = "users";

/** The user a page starts after. Fault VALIDATION for a token that is none. */
function userAfter(token: string): Id<"usr"> | undefined {
  const position = pagePosition(listQuery, token);
  if (position !== undefined && !isId(position)) throw foreignToken();
  return position as Id<"usr"> | undefined;
}

/** UserService on the application's use cases. */
export const userRpc = (deps: Deps): Implementation =>
  implement(UserService, {
    async getMe(_, context) {
      return { user: profileToMessage(await getMe(deps)(userOf(context))) };
    },
    async updateMe({ displayName, phone, expectedVersion }, context) {
      const profile = await updateMe(deps)(userOf(context), { displayName, phone }, expectedVersion);
      return { user: profileToMessage(profile) };
    },
    async exportMe(_, context) {
      return { export: exportToMessage(await exportMe(deps)(userOf(context))) };
    },
    async deleteMe({ password }, context) {
      await deleteMe(deps)(userOf(context), password);
      return {};
    },
    async listUsers({ pageSize, pageToken: token }) {
      const { users, next } = await listUsers(deps)({ size: pageSize ?? 20, after: userAfter(token) });
      return { users: users.map(profileToMessage), nextPageToken: next ? pageToken(listQuery, next) : "" };
    },
    async getUser({ userId }) {
      return { user: profileToMessage(await getUser(deps)(userId as Id<"usr">)) };
    },
  });
