import { Code, ConnectError } from "@connectrpc/connect";
import type { SignOf } from "../breaker";
import { fault, faultInfo } from "../fault";
import type { ServiceName } from "../topology";

/** SERVICE_UNAVAILABLE: no instance took a request. `wasSent` says whether one may have had it before it broke off. */
export const unreachable = (service: ServiceName, wasSent: boolean, cause?: unknown): ConnectError =>
  fault("unavailable", "SERVICE_UNAVAILABLE", `The ${service} service cannot be reached.`, {
    metadata: { service, sent: wasSent ? "perhaps" : "no" },
    retryAfterSeconds: 1,
    cause,
  });

/** OVERLOADED: too many requests of this process wait for a service already, so that this one was not sent. */
export const overloaded = (service: ServiceName): ConnectError =>
  fault("unavailable", "OVERLOADED", `Too many requests wait for the ${service} service; try again.`, {
    metadata: { service, sent: "no" },
    retryAfterSeconds: 1,
  });

/** Whether an error of a call says that no instance of the service has had it, so that it had no effect. */
export const wasNeverSent = (error: unknown, service: ServiceName): boolean => {
  const metadata = faultInfo(error)?.metadata;
  return metadata?.service === service && metadata.sent === "no";
};

/** Whether an error, or the reason of a signal, is that the time is over. */
export const isTimeout = (error: unknown): boolean =>
  (error as Error | undefined)?.name === "TimeoutError" || hasCode(error, Code.DeadlineExceeded);

const hasCode = (error: unknown, code: Code) => error instanceof ConnectError && error.code === code;

/** Codes that connections which break off and answers that are none have; any other was said by the service. */
const broken: ReadonlySet<Code> = new Set([Code.Unavailable, Code.Aborted, Code.Internal, Code.Unknown]);

/** A caller may give a service less time than it needs. */
const patientMs = 4_000;

/**
 * What an error of a call says about its service: every answer says that it is there, even a refusal. A caller who left,
 * who had little patience or who asked too much at once says nothing.
 */
export const serviceSign: SignOf = (error, elapsedMs) => {
  if (isTimeout(error)) return elapsedMs >= patientMs ? "away" : undefined;
  if ((error as Error).name === "AbortError" || hasCode(error, Code.Canceled)) return undefined;
  const reason = faultInfo(error)?.reason;
  if (reason === "OVERLOADED") return undefined;
  if (reason !== undefined) return reason === "SERVICE_UNAVAILABLE" ? "away" : "well";
  return error instanceof ConnectError && !broken.has(error.code) ? "well" : "away";
};
