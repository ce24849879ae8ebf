import type { Reason, ReasonsOf } from "@mall/gen/client/reasons";

/**
 * Why a call failed without a refusal of the mall. NO_ANSWER: the connection failed or something before the mall
 * answered for it, TIMEOUT: the time of the call was over, CANCELED: the caller's signal ended it, INTERNAL: a bug of the
 * mall. After each of them nobody knows whether the call was carried out.
 */
export type ClientReason = "NO_ANSWER" | "TIMEOUT" | "CANCELED" | "INTERNAL";

/** Why a call failed. Reasons are stable names; compare these, show `message`. */
export interface Fault<R extends string = Reason | ClientReason> {
  reason: R;
  /** A sentence for people, without secrets. */
  message: string;
  /** Facts about this occurrence, such as `variantId`. */
  metadata: Readonly<Record<string, string>>;
  /** What is wrong with the input, one entry a field. */
  violations: readonly { pointer?: string; parameter?: string; detail: string }[];
  /** Finds the request in the mall's log; of a replayed answer the first request, of a time-out none. */
  requestId: string;
  /** Milliseconds after which the mall says that a repetition makes sense; 0 when it says nothing. */
  retryAfterMs: number;
  /** Whether the same request may succeed a moment later. */
  isPassing: boolean;
  /**
   * Whether this is the mall's answer to what was asked for: with the same key it would be given again. Otherwise the
   * request was not looked at, or nobody knows whether it was carried out.
   */
  isFinal: boolean;
}

const faults = new WeakMap<object, Fault>();

/** Remembers why an error was thrown. Returns the error. */
export function withFault<E extends object>(error: E, fault: Fault): E {
  faults.set(error, fault);
  return error;
}

/** A call that failed on REST; on Connect it is a ConnectError. `faultOf` reads both. */
export class MallError extends Error {
  override name = "MallError";
  constructor(fault: Fault, options?: ErrorOptions) {
    super(fault.message, options);
    withFault(this, fault);
  }
}

/** A fault that the client itself notices. */
export const clientFault = (reason: ClientReason, message: string, requestId = ""): Fault => ({
  reason,
  message,
  metadata: {},
  violations: [],
  requestId,
  retryAfterMs: 0,
  isPassing: reason === "NO_ANSWER",
  isFinal: false,
});

/** What ended a call by its signal: DOMExceptions of fetch, and Connect's codes 1 (canceled) and 4 (deadline exceeded). */
function interruption(error: object): Fault | undefined {
  const { name, code } = error as { name?: string; code?: unknown };
  if (name === "TimeoutError" || (name === "ConnectError" && code === 4))
    return clientFault("TIMEOUT", "The mall did not answer in time.");
  if (name === "AbortError" || (name === "ConnectError" && code === 1))
    return clientFault("CANCELED", "The call was cancelled.");
  return undefined;
}

/**
 * Why a call of this client failed; undefined for errors that are something else, such as bugs of the page. With the
 * name of an RPC, as in `faultOf<"PlaceOrder">(error)`, the reasons are those that its contract names.
 */
export function faultOf<M extends keyof ReasonsOf = keyof ReasonsOf>(
  error: unknown,
): Fault<ReasonsOf[M] | ClientReason> | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  return (faults.get(error) ?? interruption(error)) as Fault<ReasonsOf[M] | ClientReason> | undefined;
}

/** Milliseconds of a Retry-After header, which is a number of seconds or a date (RFC 9110, 10.2.3); 0 without one. */
export function retryAfterMsOf(header: Headers, nowMs = Date.now()): number {
  const value = header.get("retry-after");
  if (value === null) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return Math.max(0, ms || 0);
}
