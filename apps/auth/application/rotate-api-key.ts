import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { later } from "@mall/kernel/time";
import { rotateKey } from "../db/api-keys";
import type { Deps } from "../deps";
import { type ApiKey, formatApiKey } from "../domain/api-key";
import { hashOf, newSecret } from "./api-key-secret";

const daySeconds = 86_400;

/** Gives a user's key another secret and another end. Fault API_KEY_NOT_FOUND, also for keys of others and ended ones. */
export const rotateApiKey =
  (deps: Pick<Deps, "db" | "clock" | "audit">) =>
  async (
    userId: Id<"usr">,
    input: { id: Id<"key">; ttlDays: number; overlapSeconds: number },
  ): Promise<{ apiKey: ApiKey; key: string }> => {
    const now = deps.clock();
    const secret = newSecret();
    const apiKey = await deps.db.tx(async (tx) => {
      const rotated = await rotateKey(tx, {
        id: input.id,
        userId,
        hash: hashOf(secret),
        previousUntil: later(now, input.overlapSeconds),
        expiresAt: later(now, input.ttlDays * daySeconds),
        now,
      });
      if (!rotated) throw notFound("API_KEY");
      await deps.audit.record(tx, { action: "RotateApiKey", subject: rotated.id });
      return rotated;
    });
    return { apiKey, key: formatApiKey(apiKey.prefix, secret) };
  };
