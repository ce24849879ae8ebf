import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ApiKey as ApiKeyMessage,
  ApiKeySchema,
  ApiKeyService,
  type VerifyApiKeyResponse,
  VerifyApiKeyResponseSchema,
} from "@mall/gen/mall/auth/v1/keys_pb";
import { type Id, isId } from "@mall/kernel/id";
import { foreignToken, pagePosition, pageToken } from "@mall/kernel/page-token";
import { requestKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { createApiKey } from "../application/create-api-key";
import { listApiKeys } from "../application/list-api-keys";
import { revokeApiKey } from "../application/revoke-api-key";
import { rotateApiKey } from "../application/rotate-api-key";
import { type VerifiedKey, verifyApiKey } from "../application/verify-api-key";
import type { Deps } from "../deps";
import type { ApiKey } from "../domain/api-key";

const userOf = (context: HandlerContext): Id<"usr"> => context.values.get(requestKey).actor.user!.id;

const instantOf = (date: Date | undefined) => date && timestampFromDate(date);

const keyToMessage = ({ id, name, prefix, scopes, ...times }: ApiKey): ApiKeyMessage =>
  create(ApiKeySchema, {
    ...{ id, name, scopes, prefix: `mk_${prefix}` },
    createdAt: instantOf(times.createdAt),
    expiresAt: instantOf(times.expiresAt),
    lastUsedAt: instantOf(times.lastUsedAt),
    revokedAt: instantOf(times.revokedAt),
  });

/** What a gate is told about a presented key. */
export const verifiedToMessage = (verified: VerifiedKey | undefined): VerifyApiKeyResponse => {
  const { id: apiKeyId, userId, roles, scopes } = verified ?? {};
  return create(VerifyApiKeyResponseSchema, { apiKeyId, userId, roles, scopes });
};

/** The key a page starts after. Fault VALIDATION for a token that is none. */
function keyAfter(query: string, token: string): string | undefined {
  const position = pagePosition(query, token);
  if (position !== undefined && !isId(position)) throw foreignToken();
  return position;
}

/** ApiKeyService on the application's use cases. */
export const apiKeyRpc = (deps: Deps): Implementation =>
  implement(ApiKeyService, {
    async createApiKey({ name, scopes, ttlDays }, context) {
      const { apiKey, key } = await createApiKey(deps)(userOf(context), { name, scopes, ttlDays });
      return { apiKey: keyToMessage(apiKey), key };
    },
    async listApiKeys({ pageSize, pageToken: token }, context) {
      const userId = userOf(context);
      const query = `api-keys|${userId}`;
      const page = { size: pageSize ?? 20, after: keyAfter(query, token) };
      const { apiKeys, next } = await listApiKeys(deps)(userId, page);
      return { apiKeys: apiKeys.map(keyToMessage), nextPageToken: next ? pageToken(query, next) : "" };
    },
    async rotateApiKey({ apiKeyId, ttlDays, overlapSeconds }, context) {
      const input = { id: apiKeyId as Id<"key">, ttlDays, overlapSeconds };
      const { apiKey, key } = await rotateApiKey(deps)(userOf(context), input);
      return { apiKey: keyToMessage(apiKey), key };
    },
    async revokeApiKey({ apiKeyId }, context) {
      await revokeApiKey(deps)(userOf(context), apiKeyId as Id<"key">);
      return {};
    },
    verifyApiKey: async ({ key }) => verifiedToMessage(await verifyApiKey(deps)(key)),
  });
