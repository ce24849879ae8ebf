import type { Call } from "./admission";
import { ApiError } from "./api-error";
import type { Additions } from "./books";
import type { Delivery } from "./control-contract";
import { expand } from "./expand";
import type { Execution } from "./operation";
import { listOf } from "./parameters";
import { errorAnswer, type HttpAnswer, json } from "./reply";
import type { StripeSide } from "./side";

/** The answer of an execution, and the deliveries that it causes. */
export interface Executed {
  answer: HttpAnswer;
  deliveries: readonly Delivery[];
}

/** Reads the parameters of an operation, `expand` too. */
export function prepared({ route, form }: Call): Execution {
  const { expand: _, ...own } = form;
  const paths = listOf(form, "expand");
  const execute = route.operation(own, route.id);
  return (draft) => {
    const { status, body } = execute(draft);
    return { status, body: status === 200 ? expand(body, paths, draft.get) : body };
  };
}

/** What the key of a call remembers. */
export function memory({ use, requestId }: Call, { status, body }: HttpAnswer, atMs: number): Additions {
  if (!use) return {};
  const { key, endpoint, parameters } = use;
  return { answer: { key, remembered: { endpoint, parameters, status, body, requestId, atMs } } };
}

/** Does what a call asks for, in one step that nothing comes between. Refusals are remembered as well. */
export function execute({ books, webhooks, clock }: StripeSide, call: Call, execution: Execution): Executed {
  const cause = { requestId: call.requestId, key: call.use?.key ?? null, apiVersion: call.apiVersion };
  let deliveries: readonly Delivery[] = [];
  try {
    const answer = books.change(
      cause,
      (draft) => {
        const { status, body } = execution(draft);
        return json(status, body, call.headers);
      },
      (answer, events) => {
        deliveries = webhooks.planned(events);
        return { deliveries, ...memory(call, answer, clock()) };
      },
    );
    return { answer, deliveries };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const answer = errorAnswer(error, call.headers);
    if (call.use) books.keep(memory(call, answer, clock()));
    return { answer, deliveries };
  }
}
