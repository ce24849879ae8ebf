import { invalidRequest } from "./api-error";
import { limitOf } from "./listing";
import type { PaymentIntent } from "./objects";
import { type Operation, ok } from "./operation";
import { refuseUnknown, requiredText, textOf } from "./parameters";

type Test = (intent: PaymentIntent) => boolean;

/** One clause: metadata["name"]:"value", status:"succeeded" or currency:"usd". */
function testOf(clause: string): Test {
  const [, field, name, value] =
    /^(metadata|status|currency)(?:\[["']([^"']+)["']\])?\s*:\s*["']([^"']*)["']$/.exec(clause.trim()) ?? [];
  if (field === undefined || (field === "metadata") !== (name !== undefined))
    throw invalidRequest(`We were unable to parse your search query: ${clause.trim().slice(0, 80)}`, {
      param: "query",
    });
  if (field === "metadata") return ({ metadata }) => metadata[name!] === value;
  return (intent) => intent[field as "status" | "currency"] === value;
}

/** Finds intents by metadata, status and currency. Always up to date, which Stripe's is not. */
export const searchIntents: Operation = (form) => {
  refuseUnknown(form, ["query", "limit", "page"]);
  const tests = requiredText(form, "query")
    .split(/\s+AND\s+/i)
    .map(testOf);
  const limit = limitOf(form);
  const start = Number(textOf(form, "page") ?? 0);
  if (!Number.isSafeInteger(start) || start < 0) throw invalidRequest("Invalid page", { param: "page" });
  return (draft) => {
    const found = draft.list("payment_intent").filter((intent) => tests.every((test) => test(intent)));
    const hasMore = found.length > start + limit;
    return ok({
      object: "search_result",
      url: "/v1/payment_intents/search",
      data: found.slice(start, start + limit),
      has_more: hasMore,
      next_page: hasMore ? String(start + limit) : null,
    });
  };
};
