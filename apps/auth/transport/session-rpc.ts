import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { SessionService } from "@mall/gen/mall/auth/v1/sessions_pb";
import type { Id } from "@mall/kernel/id";
import { requestKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { getSessionStatus } from "../application/get-session-status";
import { listSessions } from "../application/list-sessions";
import { logoutAll } from "../application/logout-all";
import { revokeSession } from "../application/revoke-session";
import { validateToken } from "../application/validate-token";
import type { Deps } from "../deps";
import type { OwnSession } from "../domain/session";

const userOf = (context: HandlerContext) => context.values.get(requestKey).actor.user!;

const sessionToMessage = ({ id, client, ...times }: OwnSession, currentId: string) => ({
  ...{ id, address: client.address ?? "", device: client.device ?? "", isCurrent: id === currentId },
  createdAt: timestampFromDate(times.createdAt),
  lastUsedAt: timestampFromDate(times.lastUsedAt),
  expiresAt: timestampFromDate(times.expiresAt),
});

/** SessionService on the application's use cases. */
export const sessionRpc = (deps: Deps): Implementation =>
  implement(SessionService, {
    async listSessions(_, context) {
      const { id, sessionId } = userOf(context);
      const sessions = await listSessions(deps)(id);
      return { sessions: sessions.map((session) => sessionToMessage(session, sessionId)) };
    },
    async revokeSession({ sessionId }, context) {
      await revokeSession(deps)(userOf(context).id, sessionId as Id<"ses">);
      return {};
    },
    async logoutAll(_, context) {
      await logoutAll(deps)(userOf(context).id);
      return {};
    },
    async getSessionStatus({ sessionId }) {
      const { expiresAt, ...status } = await getSessionStatus(deps)(sessionId as Id<"ses">);
      return { ...status, expiresAt: timestampFromDate(expiresAt) };
    },
    async validateToken({ accessToken }) {
      const { user, reason } = await validateToken(deps)(accessToken);
      if (!user) return { active: false, reason };
      return { active: true, userId: user.id, sessionId: user.sessionId, roles: [...user.roles] };
    },
  });
