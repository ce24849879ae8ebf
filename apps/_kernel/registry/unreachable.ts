import type { ConnectError } from "@connectrpc/connect";
import { fault, faultInfo, hasReason } from "../fault";
import type { ServiceName } from "../topology";

/** SERVICE_UNAVAILABLE: no instance took a request. `wasSent` says whether one may have had it before it broke off. */
export const unreachable = (service: ServiceName, wasSent: boolean, cause?: unknown): ConnectError =>
  fault("unavailable", "SERVICE_UNAVAILABLE", `The ${service} service cannot be reached.`, {
    metadata: { service, sent: wasSent ? "perhaps" : "no" },
    retryAfterSeconds: 1,
    cause,
  });

/** Whether an error of a call says that no instance of the service has had it, so that it had no effect. */
export const wasNeverSent = (error: unknown, service: ServiceName): boolean => {
  if (!hasReason(error, "SERVICE_UNAVAILABLE")) return false;
  const { service: of, sent } = faultInfo(error)!.metadata;
  return of === service && sent === "no";
};
