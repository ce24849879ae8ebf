import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ConfigService } from "@mall/gen/mall/auth/v1/config_pb";
import { foreignToken, pagePosition, pageToken } from "@mall/kernel/page-token";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { getConfig } from "../application/get-config";
import { listConfigHistory } from "../application/list-config-history";
import { resetConfig } from "../application/reset-config";
import { rollbackConfig } from "../application/rollback-config";
import { setConfig } from "../application/set-config";
import type { Deps } from "../deps";

const historyQuery = "config-history";

/** The revision a page starts before. Fault VALIDATION for a token that is none. */
function revisionBefore(token: string): number | undefined {
  const position = pagePosition(historyQuery, token);
  if (position !== undefined && !/^[1-9][0-9]{0,9}$/.test(position)) throw foreignToken();
  return position === undefined ? undefined : Number(position);
}

/** ConfigService on the application's use cases. */
export const configRpc = (deps: Deps): Implementation =>
  implement(ConfigService, {
    getConfig: () => getConfig(deps)(),
    async setConfig({ key, value }) {
      await setConfig(deps)(key, value);
      return {};
    },
    async resetConfig({ key }) {
      await resetConfig(deps)(key);
      return {};
    },
    async listConfigHistory({ pageSize, pageToken: token }) {
      const { revisions, next } = await listConfigHistory(deps)({
        size: pageSize ?? 20,
        before: revisionBefore(token),
      });
      return {
        revisions: revisions.map(({ revision, at, author, changes }) => ({
          ...{ revision, author, at: timestampFromDate(at) },
          changes: Object.entries(changes).map(([key, value]) => ({ key, value: value ?? undefined })),
        })),
        nextPageToken: next === undefined ? "" : pageToken(historyQuery, String(next)),
      };
    },
    rollbackConfig: async ({ revision }) => ({
      revision: (await rollbackConfig(deps)(revision))?.revision ?? 0,
    }),
  });
