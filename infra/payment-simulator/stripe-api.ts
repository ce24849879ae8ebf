import { type Call, letIn } from "./admission";
import { ApiError } from "./api-error";
import type { Remembered } from "./books";
import type { When } from "./control-contract";
import { type Executed, execute, memory, prepared } from "./execution";
import { idempotencyKeys } from "./keys";
import { errorAnswer, type HttpAnswer, type HttpRequest, type Reply } from "./reply";
import { idOf } from "./seeded";
import type { StripeSide } from "./side";
import { type Ending, suffer } from "./suffering";

const replayed = ({ headers }: Call, { status, body, requestId }: Remembered): HttpAnswer => ({
  status,
  body,
  headers: {
    ...headers,
    "content-type": "application/json",
    "idempotent-replayed": "true",
    "original-request": requestId,
  },
});

/** The answer that a rule puts in the place of the true one. */
function failureOf({ status, code }: Extract<Ending, { kind: "answer" }>, { headers }: Call): HttpAnswer {
  const isLimit = status === 429;
  const message = isLimit
    ? "Request rate limit exceeded."
    : "An error occurred while processing your request: this failure was ordered.";
  const type = status >= 500 ? "api_error" : "invalid_request_error";
  return errorAnswer(
    new ApiError(status, { type, message, code: code ?? (isLimit ? "rate_limit" : undefined) }),
    headers,
  );
}

/** Answers requests as Stripe would, unless a rule wants otherwise. */
export function stripeApi(side: StripeSide): (request: HttpRequest) => Promise<Reply> {
  const { books, webhooks, counts, seed, clock } = side;
  const keys = idempotencyKeys(books, clock);
  let requests = 0;

  /** What becomes of a call that a rule ended. `answer` is the true one, if there is one yet. */
  function ended(ending: Ending, call: Call, when: When, answer?: HttpAnswer): Reply {
    if (ending.kind !== "answer")
      return ending.kind === "reset" && answer ? { kind: "reset", answer } : { kind: "drop" };
    const failure = failureOf(ending, call);
    const isRemembered = when !== "before" && (ending.remembered ?? ending.status >= 500);
    if (isRemembered && call.use) books.keep(memory(call, failure, clock()));
    return { kind: "answer", answer: failure };
  }

  const strike = (call: Call, when: When) => suffer(side, call.victim, when, call.struck);

  async function afterwards(call: Call, answer: HttpAnswer): Promise<Reply> {
    const ending = await strike(call, "after");
    return ending ? ended(ending, call, "after", answer) : { kind: "answer", answer };
  }

  async function executed(call: Call): Promise<Executed | Reply> {
    const execution = prepared(call);
    const ending = await strike(call, "during");
    if (ending) return ended(ending, call, "during");
    counts.add(call.route.name, "executed");
    return execute(side, call, execution);
  }

  async function first(call: Call): Promise<Reply> {
    const result = await executed(call).finally(() => call.use && keys.giveBack(call.use.key));
    if ("kind" in result) return result;
    const announcement = webhooks.announce(result.deliveries);
    await announcement.beforeAnswer();
    return afterwards(call, result.answer).finally(announcement.afterAnswer);
  }

  async function handle(call: Call): Promise<Reply> {
    counts.add(call.route.name, "received");
    const ending = await strike(call, "before");
    if (ending) return ended(ending, call, "before");
    const taken = call.use ? keys.take(call.use) : { kind: "mine" as const };
    if (taken.kind === "refused") throw taken.error;
    if (taken.kind === "mine") return first(call);
    counts.add(call.route.name, "replayed");
    return afterwards(call, replayed(call, taken.remembered));
  }

  return async (request) => {
    const requestId = idOf("req_", seed, "request", ++requests);
    let headers: Record<string, string> = { "request-id": requestId };
    try {
      const call = letIn(side, request, requestId);
      headers = call.headers;
      return await handle(call);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return { kind: "answer", answer: errorAnswer(error, headers) };
    }
  };
}
