import type { PaymentIntent } from "./objects";

/** The `error` of an answer. */
export interface ErrorBody {
  type: "api_error" | "card_error" | "idempotency_error" | "invalid_request_error";
  message: string;
  code?: string;
  decline_code?: string;
  param?: string;
  doc_url?: string;
  charge?: string;
  payment_intent?: PaymentIntent;
  payment_method?: unknown;
  payment_method_type?: string;
}

/** An answer that says what was wrong. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly body: ErrorBody,
  ) {
    super(body.message);
    if (body.code) body.doc_url = `https://docs.stripe.com/error-codes#${body.code.replaceAll("_", "-")}`;
  }
}

type Details = Partial<Omit<ErrorBody, "type" | "message">>;

/** 400: the request asks for what cannot be. */
export const invalidRequest = (message: string, details: Details = {}): ApiError =>
  new ApiError(400, { type: "invalid_request_error", message, ...details });

/** What is named in the path is 404, what is named in a parameter 400. */
export const missing = (kind: string, id: string, param?: string): ApiError =>
  new ApiError(param === undefined ? 404 : 400, {
    type: "invalid_request_error",
    code: "resource_missing",
    message: `No such ${kind}: '${id}'`,
    param: param ?? "intent",
  });

/** 400: the intent is in a state in which this cannot be done. */
export const unexpectedState = (message: string, intent: PaymentIntent): ApiError =>
  invalidRequest(message, { code: "payment_intent_unexpected_state", payment_intent: intent });

/** 400: the key was used for something else. */
export const keyMismatch = (message: string): ApiError =>
  new ApiError(400, { type: "idempotency_error", message });

/** 409: the first request of this key still executes. */
export const keyInUse = (): ApiError =>
  new ApiError(409, {
    type: "idempotency_error",
    code: "idempotency_key_in_use",
    message:
      "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through). Please try again later.",
  });
