import type { Reason } from "@mall/gen/client/reasons";
import { clientFault, type Fault, retryAfterMsOf } from "./fault";

/** The body of a refusal on REST (RFC 9457), as `gen/openapi/mall.json` has it. */
export interface Problem {
  reason: string;
  detail: string;
  instance: string;
  metadata: Record<string, string>;
  errors: { pointer?: string; parameter?: string; detail: string }[];
}

const passing: readonly number[] = [502, 503, 504];
const final: readonly number[] = [402, 404, 409, 412, 422];

const isProblem = (header: Headers): boolean =>
  header.get("content-type")?.startsWith("application/problem+json") ?? false;

/** Why a REST answer is a refusal; one that is no problem+json comes from something between here and the mall. */
export async function faultOfResponse(response: Response, requestId: string): Promise<Fault> {
  const { status, headers } = response;
  const retryAfterMs = retryAfterMsOf(headers);
  const isPassing = retryAfterMs > 0 || passing.includes(status);
  if (!isProblem(headers)) {
    const own = clientFault(
      isPassing ? "NO_ANSWER" : "INTERNAL",
      `The mall answered with HTTP status ${status}.`,
      requestId,
    );
    return { ...own, isPassing, retryAfterMs };
  }
  const problem = (await response.json()) as Problem;
  return {
    reason: problem.reason as Reason,
    message: problem.detail,
    metadata: problem.metadata,
    violations: problem.errors,
    requestId: problem.instance.replace("urn:uuid:", ""),
    retryAfterMs,
    isPassing,
    isFinal: !isPassing && final.includes(status),
  };
}
