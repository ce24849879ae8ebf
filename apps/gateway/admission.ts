import { createHmac } from "node:crypto";
import type { ConnectError } from "@connectrpc/connect";
import { within } from "@mall/kernel/concurrency";
import { fault } from "@mall/kernel/fault";
import type { VerifyAccessToken } from "@mall/kernel/identity/access-token";
import { isApiKey } from "@mall/kernel/identity/api-key";
import { networkOf } from "@mall/kernel/identity/network";
import { limiterWaitMs } from "@mall/kernel/ratelimit/guarded";
import type { Limit, RateLimiter, Verdict } from "@mall/kernel/ratelimit/port";
import type { RateClassName } from "./routes";

/** What a request counts as beside a request of its client; "provider" is what sends webhooks and events. */
export type Kind = RateClassName | "provider";

/** Requests a second of one client in production, when nobody says how many. */
export const perAddressInProduction = 10;

/** The limits of one client, in requests a second and at once. */
export function limitsOf(perAddress: number) {
  return {
    address: { name: "address", perSecond: perAddress, burst: 2 * perAddress },
    user: { name: "user", perSecond: 10, burst: 20 },
    provider: { name: "provider", perSecond: 100, burst: 200 },
    /** Counted for the address, and for the user as well where there is one. */
    ofClass: {
      LOGIN: { name: "login", perSecond: 0.5, burst: 10 },
      CHECKOUT: { name: "checkout", perSecond: 1, burst: 10 },
    } as Partial<Record<RateClassName, Limit>>,
  };
}

/** One bucket that a request takes from. */
interface Count {
  limit: Limit;
  key: string;
}

/** What limits say to a request: the reason to refuse it, if there is one, and the headers that tell where it stands. */
export interface Admitted {
  refusal?: ConnectError;
  header: Headers;
}

/** Counts a request of a client; `address` is the client's own. */
export type Admit = (header: Headers, address: string | undefined, kind: Kind) => Promise<Admitted>;

export interface AdmissionDeps {
  limiter: RateLimiter;
  limits: ReturnType<typeof limitsOf>;
  verifyAccessToken: VerifyAccessToken;
  /** Key of the hash under which addresses are counted. */
  hashKey: Uint8Array;
}

const secondsToFill = ({ perSecond, burst }: Limit, remaining: number): number =>
  Math.ceil((burst - remaining) / perSecond);

/** RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10): one item a limit, the tighter of two. */
function headersOf(counts: readonly Count[], verdicts: readonly Verdict[]): Headers {
  const tightest = new Map<string, { limit: Limit; remaining: number }>();
  for (const [i, { limit }] of counts.entries()) {
    const { remaining } = verdicts[i]!;
    const known = tightest.get(limit.name);
    if (!known || remaining < known.remaining) tightest.set(limit.name, { limit, remaining });
  }
  const all = [...tightest.values()];
  const policies = all.map(({ limit }) => `"${limit.name}";q=${limit.burst};w=${secondsToFill(limit, 0)}`);
  const states = all.map(
    ({ limit, remaining }) => `"${limit.name}";r=${remaining};t=${secondsToFill(limit, remaining)}`,
  );
  return new Headers({ "ratelimit-policy": policies.join(", "), ratelimit: states.join(", ") });
}

const rateLimited = ({ name, perSecond }: Limit) => {
  const retryAfterSeconds = Math.max(1, Math.ceil(1 / perSecond));
  const message = `Too many requests; try again in ${retryAfterSeconds} s.`;
  return fault("resource_exhausted", "RATE_LIMITED", message, {
    retryAfterSeconds,
    metadata: { limit: name },
  });
};

/**
 * Limits by client address, by user and by the contract's strict classes. Who the user is says the token, once it is
 * verified: an id that anybody can write would let them use up somebody else's limit. A machine is counted by its key
 * as it stands. Refuses RATE_LIMITED.
 */
export function admission({ limiter, limits, verifyAccessToken, hashKey }: AdmissionDeps): Admit {
  const hashed = (kind: string, text: string) =>
    createHmac("sha256", hashKey).update(`${kind}|${text}`).digest("base64url").slice(0, 22);

  /** Key of who signed the request; undefined for guests, and while keys cannot be had to check a token with. */
  async function signer(header: Headers): Promise<string | undefined> {
    const bearer = /^Bearer +([^ ]+)$/i.exec(header.get("authorization") ?? "")?.[1];
    if (!bearer) return undefined;
    if (isApiKey(bearer)) return hashed("key", bearer);
    const verified = within(limiterWaitMs, "checking a token", verifyAccessToken(bearer));
    return verified.then(({ id }) => id).catch(() => undefined);
  }

  async function countsOf(header: Headers, address: string | undefined, kind: Kind): Promise<Count[]> {
    const from = hashed("address", networkOf(address ?? "unknown"));
    if (kind === "provider") return [{ limit: limits.provider, key: from }];
    const user = await signer(header);
    const strict = limits.ofClass[kind];
    return [
      { limit: limits.address, key: from },
      ...(user ? [{ limit: limits.user, key: user }] : []),
      ...(strict ? [from, user].flatMap((key) => (key ? [{ limit: strict, key }] : [])) : []),
    ];
  }

  return async (header, address, kind) => {
    const counts = await countsOf(header, address, kind);
    const verdicts = await Promise.all(counts.map(({ limit, key }) => limiter.take(limit, key)));
    const exceeded = counts.filter((_, i) => !verdicts[i]!.isAllowed).map(({ limit }) => limit);
    // the one that takes longest to let the client in again
    const [slowest] = exceeded.toSorted((a, b) => a.perSecond - b.perSecond);
    return { refusal: slowest && rateLimited(slowest), header: headersOf(counts, verdicts) };
  };
}

/** Lets everybody in and tells nothing. */
export const noAdmission: Admit = async () => ({ header: new Headers() });
