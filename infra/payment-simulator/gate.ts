import { ApiError, invalidRequest } from "./api-error";
import { holdsCardNumber } from "./card-number";
import type { Form } from "./form";
import type { HttpRequest } from "./reply";

const unauthorized = (message: string) => new ApiError(401, { type: "invalid_request_error", message });

/** Lets in whoever has a secret key for tests. Keys are never repeated in answers. */
export function requireKey(request: HttpRequest): void {
  const [, bearer] = /^Bearer\s+(\S+)$/i.exec(request.header("authorization") ?? "") ?? [];
  if (bearer === undefined)
    throw unauthorized("You did not provide an API key: use the Authorization header with Bearer.");
  if (!/^(?:sk|rk)_test_/.test(bearer))
    throw unauthorized("Invalid API Key provided: the simulator takes sk_test_… only.");
}

const namesCardNumber = (form: Form): boolean =>
  Object.entries(form).some(
    ([name, value]) => name === "number" || (typeof value === "object" && namesCardNumber(value)),
  );

/** Refuses card numbers wherever they stand, before anything is kept. */
export function refuseCardNumbers(request: HttpRequest, form: Form): void {
  const places = [
    decodeURIComponent(request.path),
    ...new URLSearchParams(`${request.query}&${request.body}`).values(),
    request.header("idempotency-key") ?? "",
  ];
  if (!namesCardNumber(form) && !places.some(holdsCardNumber)) return;
  throw invalidRequest(
    "Sending credit card numbers directly to the API is generally unsafe. Use test tokens that map to the test card you are using.",
  );
}
