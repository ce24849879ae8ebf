import type { DescMethod } from "@bufbuild/protobuf";
import { Idempotency } from "@mall/gen/mall/common/v1/options_pb";
import { cancellable, uncancelled } from "../db/cancellation";
import { invalid } from "../fault";
import { isRepeatable, policyOf } from "./policy";

/** Header with the milliseconds that the caller still waits; Connect's own, and on REST as well. */
export const timeoutHeader = "connect-timeout-ms";

const unitsMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * Milliseconds that the caller waits, as it says by Connect-Timeout-Ms (at most 10 digits, as the Connect protocol has
 * it) or grpc-timeout (gRPC over HTTP/2: at most 8 digits and a unit); undefined when it does not. Fault: VALIDATION.
 */
export function timeoutMsOf(headers: Headers): number | undefined {
  const connect = headers.get(timeoutHeader);
  if (connect !== null) {
    if (!/^[0-9]{1,10}$/.test(connect))
      throw invalid([{ parameter: "Connect-Timeout-Ms", detail: "must be a number of milliseconds" }]);
    return Number(connect);
  }
  const [, digits, unit] = /^([0-9]{1,8})([HMSmun])$/.exec(headers.get("grpc-timeout") ?? "") ?? [];
  return digits === undefined ? undefined : Number(digits) * unitsMs[unit!]!;
}

/** Headers of a Connect or gRPC-Web call, with a deadline when its client named none. */
export function timed(headers: Headers, timeoutMs: number): Headers {
  const isGrpc = headers.get("content-type")?.startsWith("application/grpc");
  const name = isGrpc ? "grpc-timeout" : timeoutHeader;
  if (headers.has(name)) return headers;
  const own = new Headers(headers);
  own.set(name, isGrpc ? `${timeoutMs}m` : String(timeoutMs));
  return own;
}

/**
 * Runs a call as long as somebody waits for it, where the caller may simply ask again. All others run to their end:
 * the answer to a key is kept, and of what must not be repeated nobody could say how far it came.
 */
export function forCaller<T>(method: DescMethod, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  if (!isRepeatable(method)) return uncancelled(run);
  const refusesNext = policyOf(method)?.idempotency === Idempotency.SAFE;
  return cancellable(signal, { refusesNext }, run);
}
