import { invalid } from "../fault";

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
