import type { VerifyApiKeyResponse } from "@mall/gen/mall/auth/v1/keys_pb";
import { fault } from "../fault";
import type { Actor } from "./actor";

/** Asks what a presented key may do. */
export type AskApiKey = (key: string) => Promise<VerifyApiKeyResponse>;

/** Tells which machine presents a key. */
export type VerifyApiKey = (key: string) => Promise<NonNullable<Actor["apiKey"]>>;

/** Whether a bearer is a key of a machine, and not a token of a user. */
export const isApiKey = (bearer: string): boolean => bearer.startsWith("mk_");

const form = /^mk_[0-9a-z]{12}_[A-Za-z0-9_-]{43}$/;
const cacheMax = 10_000;
/** An answer is used for this long; together with the time that asking takes, a change acts within a second. */
const freshMs = 750;
/** While auth is away, machines go on with what they could do, as users do with their access tokens. */
const lastKnownMs = 15 * 60_000;

/** Verifies keys of machines by asking auth. Faults UNAUTHENTICATED; AUTH_UNAVAILABLE when nothing is known of the key. */
export function apiKeyVerifier(ask: AskApiKey, clock: () => Date): VerifyApiKey {
  const known = new Map<string, { answer: VerifyApiKeyResponse; askedAtMs: number }>();

  async function answerOf(key: string): Promise<VerifyApiKeyResponse> {
    const nowMs = clock().getTime();
    const last = known.get(key);
    const ageMs = last ? Math.abs(nowMs - last.askedAtMs) : Number.POSITIVE_INFINITY;
    if (last && ageMs < freshMs) return last.answer;
    try {
      const answer = await ask(key);
      if (known.size >= cacheMax) known.clear();
      known.set(key, { answer, askedAtMs: nowMs });
      return answer;
    } catch (error) {
      if (last && ageMs < lastKnownMs) return last.answer;
      throw fault("unavailable", "AUTH_UNAVAILABLE", "API keys cannot be checked at the moment.", {
        retryAfterSeconds: 1,
        cause: error,
      });
    }
  }

  return async (key) => {
    const answer = form.test(key) ? await answerOf(key) : undefined;
    if (!answer?.apiKeyId) throw fault("unauthenticated", "UNAUTHENTICATED", "The API key is not valid.");
    const { apiKeyId, userId, roles, scopes } = answer;
    return { id: apiKeyId as `key_${string}`, ownerId: userId as `usr_${string}`, roles, scopes };
  };
}
