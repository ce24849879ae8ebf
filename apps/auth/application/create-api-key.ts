import type { Id } from "@mall/kernel/id";
import { later } from "@mall/kernel/time";
import { countLiveKeys, insertKey, lockCreator } from "../db/api-keys";
import { findPolicy } from "../db/policy";
import type { Deps } from "../deps";
import { type ApiKey, checkKeyCount, checkScopes, formatApiKey } from "../domain/api-key";
import { hashOf, newPrefix, newSecret } from "./api-key-secret";

const daySeconds = 86_400;

/**
 * Makes a key of a user with permissions that the user has. Its text is returned and kept nowhere. Faults
 * SCOPES_EXCEEDED, API_KEY_LIMIT.
 */
export const createApiKey =
  (deps: Pick<Deps, "db" | "clock" | "newId" | "permissions" | "audit">) =>
  async (
    userId: Id<"usr">,
    input: { name: string; scopes: string[]; ttlDays: number },
  ): Promise<{ apiKey: ApiKey; key: string }> => {
    const createdAt = deps.clock();
    const secret = newSecret();
    const apiKey: ApiKey = {
      id: deps.newId("key"),
      userId,
      name: input.name,
      prefix: newPrefix(),
      scopes: input.scopes,
      createdAt,
      expiresAt: later(createdAt, input.ttlDays * daySeconds),
    };
    await deps.db.tx(async (tx) => {
      const roles = await lockCreator(tx, userId);
      checkScopes(input.scopes, roles, deps.permissions, (await findPolicy(tx)).policy.roles);
      await insertKey(tx, apiKey, hashOf(secret));
      checkKeyCount(await countLiveKeys(tx, userId, createdAt));
      await deps.audit.record(tx, { action: "CreateApiKey", subject: apiKey.id });
    });
    return { apiKey, key: formatApiKey(apiKey.prefix, secret) };
  };
