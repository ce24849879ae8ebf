import { createHash } from "node:crypto";
import { ApiError } from "./api-error";
import type { Books } from "./books";
import { tokenOf } from "./card-parameters";
import { canonical, type Form, parseForm } from "./form";
import { refuseCardNumbers, requireKey } from "./gate";
import type { KeyUse } from "./keys";
import { metadataOf } from "./parameters";
import type { HttpRequest } from "./reply";
import { type Route, routeOf } from "./routes";
import type { StripeSide } from "./side";
import type { Victim } from "./suffering";

const apiVersionDefault = "2026-10-28.endive";

/** A request that was let in. */
export interface Call {
  route: Route;
  form: Form;
  use: KeyUse | undefined;
  requestId: string;
  apiVersion: string;
  headers: Record<string, string>;
  victim: Victim;
  /** To be told of each rule that strikes. */
  struck(): void;
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** The intent that a request is about and what is known of it before it executes. */
function victimOf(books: Books, { name, kind, id }: Route, form: Form, key: string | undefined): Victim {
  const refund = kind === "refund" ? books.get("refund", id) : undefined;
  const chargeId = kind === "charge" ? id : textOf(form.charge);
  const charge = books.get("charge", chargeId);
  const named = kind === "payment_intent" ? id : textOf(form.payment_intent);
  const intent = books.get("payment_intent", refund?.payment_intent ?? charge?.payment_intent ?? named);
  return {
    operation: name,
    token: tokenOf(form),
    key,
    paymentIntent: intent?.id ?? null,
    metadata: { ...intent?.metadata, ...refund?.metadata, ...metadataOf(form) },
  };
}

const fingerprint = (form: Form): string => createHash("sha256").update(canonical(form)).digest("base64url");

/** Checks what is checked before any operation: key, path, card numbers. */
export function letIn({ books, counts }: StripeSide, request: HttpRequest, requestId: string): Call {
  requireKey(request);
  const route = routeOf(request.method, request.path);
  if (!route) {
    const message = `Unrecognized request URL (${request.method}: ${request.path}).`;
    throw new ApiError(404, { type: "invalid_request_error", message });
  }
  const form = parseForm(request.method === "POST" ? request.body : request.query);
  refuseCardNumbers(request, form);
  const key = (request.method === "POST" && request.header("idempotency-key")) || undefined;
  let isStruck = false;
  const apiVersion = request.header("stripe-version") ?? apiVersionDefault;
  return {
    route,
    form,
    use: key === undefined ? undefined : { key, endpoint: request.path, parameters: fingerprint(form) },
    requestId,
    apiVersion,
    headers: {
      "request-id": requestId,
      "stripe-version": apiVersion,
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
    victim: victimOf(books, route, form, key),
    struck() {
      if (!isStruck) counts.add(route.name, "faulted");
      isStruck = true;
    },
  };
}
