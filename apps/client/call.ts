import { type Fault, faultOf } from "./fault";
import { type Retry, waitMsBefore } from "./retry";
import type { CallRules } from "./rules";
import type { Session } from "./session";

/** Secrets of a guest's objects, as CreateCart and PlaceOrder give them. */
export interface Secrets {
  cartSecret?: string;
  orderSecret?: string;
}

/** What all calls of a client share. */
export interface CallDeps {
  /** Who is signed in; without one all calls are a guest's. */
  session?: Session;
  /** Secrets that go with every call which does not bring its own headers. */
  secrets?(): Secrets;
  retry: Retry;
}

/** One call, whatever its surface. */
export interface Call<T> {
  rules: CallRules;
  /** Headers of the request; the key, the secrets and the token are put here. */
  header: Headers;
  signal: AbortSignal;
  /** Sends the request with the headers as they are now. What it throws has a fault, or ends the call. */
  send(): Promise<T>;
}

/** A fresh Idempotency-Key or request id. */
export const newKey = (): string => crypto.randomUUID();

const isTokenRefused = (fault: Fault | undefined): boolean =>
  fault?.reason === "TOKEN_EXPIRED" || fault?.reason === "TOKEN_STALE" || fault?.reason === "UNAUTHENTICATED";

/**
 * Sends a request for whoever is signed in. A refused token is renewed and the request sent once more, which is safe
 * whatever it does: the mall looks at tokens before anything else. When the session has ended, what is public is sent
 * once more for a guest, so that a shop does not close to whom a token has run out.
 */
async function asUser<T>({ rules, header, send }: Call<T>, session: Session): Promise<T> {
  const token = await session.token();
  if (token === undefined) {
    header.delete("authorization");
    return send();
  }
  header.set("authorization", `Bearer ${token}`);
  try {
    return await send();
  } catch (error) {
    if (!isTokenRefused(faultOf(error))) throw error;
    const renewed = await session.renew(token);
    if (renewed !== undefined) header.set("authorization", `Bearer ${renewed}`);
    else if (rules.isPublic) header.delete("authorization");
    else throw error;
    return send();
  }
}

/**
 * Carries out one call: with a key where the contract asks for one, the same in all its requests; with an id for
 * each request, which the mall logs; with the secrets and the token of the caller; repeated where `waitMsBefore` says so. Headers that the caller set are left as they are.
 */
export async function carryOut<T>(call: Call<T>, { session, secrets, retry }: CallDeps): Promise<T> {
  const { rules, header, signal } = call;
  const fill = (name: string, value: string | undefined) => {
    if (value !== undefined && !header.has(name)) header.set(name, value);
  };
  if (rules.repeat === "with-key") fill("idempotency-key", newKey());
  const { cartSecret, orderSecret } = secrets?.() ?? {};
  fill("x-cart-secret", cartSecret);
  fill("x-order-secret", orderSecret);
  const speaker = header.has("authorization") ? undefined : session;
  const isNamed = header.has("x-request-id");
  const send = () => {
    if (!isNamed) header.set("x-request-id", newKey());
    return call.send();
  };
  for (let requests = 1; ; requests++) {
    try {
      return await (speaker ? asUser({ ...call, send }, speaker) : send());
    } catch (error) {
      const fault = faultOf(error);
      const waitMs = fault && waitMsBefore(retry, rules, fault, requests);
      if (waitMs === undefined) throw error;
      await retry.sleep(waitMs, signal);
    }
  }
}
