import { timingSafeEqual } from "node:crypto";
import type { Id } from "@mall/kernel/id";
import { findKey, noteUse } from "../db/api-keys";
import type { Deps } from "../deps";
import { goodHashes, isLive, isUseNews, parseApiKey } from "../domain/api-key";
import { hashOf } from "./api-key-secret";

/** What a valid key may do: its scopes, as far as the roles of its creator reach. */
export interface VerifiedKey {
  id: Id<"key">;
  userId: Id<"usr">;
  roles: string[];
  scopes: string[];
}

/** Whose key was presented; undefined when it is not valid, whatever the cause. */
export const verifyApiKey =
  ({ db, clock }: Pick<Deps, "db" | "clock">) =>
  async (text: string): Promise<VerifiedKey | undefined> => {
    const presented = parseApiKey(text);
    const found = presented && (await findKey(db, presented.prefix));
    if (!found) return undefined;
    const now = clock();
    const hash = hashOf(presented.secret);
    const isGenuine = goodHashes(found.secret, now).some((good) => timingSafeEqual(good, hash));
    if (!isGenuine || !isLive(found.key, now)) return undefined;
    if (isUseNews(found.key, now)) await noteUse(db, found.key.id, now);
    const { id, userId, scopes } = found.key;
    return { id, userId, roles: found.roles, scopes };
  };
