import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type FaultInfo, FaultInfoSchema } from "@mall/gen/mall/common/v1/fault_pb";

const codes = {
  invalid_argument: Code.InvalidArgument,
  out_of_range: Code.OutOfRange,
  unauthenticated: Code.Unauthenticated,
  permission_denied: Code.PermissionDenied,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  aborted: Code.Aborted,
  failed_precondition: Code.FailedPrecondition,
  resource_exhausted: Code.ResourceExhausted,
  unimplemented: Code.Unimplemented,
  unavailable: Code.Unavailable,
  deadline_exceeded: Code.DeadlineExceeded,
  canceled: Code.Canceled,
  internal: Code.Internal,
} as const;

/** Connect code of a fault, by the name the protocol gives it. */
export type FaultCode = keyof typeof codes;

/** What is wrong with one part of the input: a JSON pointer into the body, or the name of a parameter or header. */
export interface Violation {
  pointer?: string;
  parameter?: string;
  detail: string;
}

export interface FaultOptions {
  metadata?: Record<string, string>;
  violations?: Violation[];
  retryAfterSeconds?: number;
  requestId?: string;
  cause?: unknown;
}

/**
 * Makes the one kind of error a request may end with. `reason` is stable upper snake case and machine-readable;
 * `message` is a sentence for people and must not contain secrets or personal data.
 */
export function fault(
  code: FaultCode,
  reason: string,
  message: string,
  options: FaultOptions = {},
): ConnectError {
  const value: MessageInitShape<typeof FaultInfoSchema> = {
    reason,
    metadata: options.metadata ?? {},
    violations: options.violations ?? [],
    requestId: options.requestId ?? "",
  };
  const headers = new Headers();
  if (options.retryAfterSeconds !== undefined) headers.set("retry-after", String(options.retryAfterSeconds));
  return new ConnectError(message, codes[code], headers, [{ desc: FaultInfoSchema, value }], options.cause);
}

/** A business refusal as it is kept for an Idempotency-Key. */
export interface Refusal {
  kind: "fault";
  code: FaultCode;
  reason: string;
  message: string;
  metadata: Record<string, string>;
  requestId: string;
}

/** VALIDATION: the input breaks the rules of the contract. */
export const invalid = (violations: Violation[]): ConnectError =>
  fault("invalid_argument", "VALIDATION", violations.map((v) => v.detail).join("; "), { violations });

/** <THING>_NOT_FOUND: unknown, foreign and unheld objects all answer exactly this. */
export const notFound = (thing: string): ConnectError =>
  fault(
    "not_found",
    `${thing.toUpperCase()}_NOT_FOUND`,
    `There is no such ${thing.toLowerCase().replaceAll("_", " ")}.`,
  );

/** The FaultInfo an error carries, or undefined for errors that are not faults (bugs, protocol errors). */
export function faultInfo(error: unknown): FaultInfo | undefined {
  return error instanceof ConnectError ? error.findDetails(FaultInfoSchema)[0] : undefined;
}

/** Whether an error is a fault with one of these reasons. */
export const hasReason = (error: unknown, ...reasons: string[]): boolean =>
  reasons.includes(faultInfo(error)?.reason ?? "");

/** Wire name of a Connect code. */
export function codeName(code: Code): FaultCode | "unknown" {
  for (const [name, value] of Object.entries(codes)) if (value === code) return name as FaultCode;
  return "unknown";
}
