import * as z from "zod";
import { ApiError } from "./api-error";
import type { LedgerPage } from "./control-contract";
import * as schemas from "./control-schemas";
import { entriesOf, sumsOf } from "./ledger";
import { type HttpAnswer, type HttpRequest, json } from "./reply";
import { settle } from "./settle";
import type { StripeSide } from "./side";

type Handler = (
  side: StripeSide,
  request: { body: unknown; query: Record<string, string>; id: string },
) => unknown;

/** An answer that is not 200. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly value: unknown,
  ) {
    super(`refused with ${status}`);
  }
}

const notFound = (what: string) => new Refusal(404, { error: { message: `There is no ${what}.` } });

const listHeld: Handler = async ({ holds }, { query }) => {
  const { count, timeoutMs } = schemas.heldQuery.parse(query);
  if (count !== undefined && !(await holds.reached(count, timeoutMs))) throw new Refusal(408, holds.list());
  return holds.list();
};

const readLedger: Handler = ({ books }, { query }): LedgerPage => {
  const {
    order_id: orderId,
    payment_id: paymentId,
    payment_intent: paymentIntent,
    entries: shown,
  } = schemas.ledgerQuery.parse(query);
  const entries = entriesOf(books.entries, { orderId, paymentId, paymentIntent });
  return { entries: shown === "all" ? entries : [], sums: sumsOf(entries) };
};

const settleOne: Handler = ({ books, webhooks }, { body }) => {
  const { id, outcome } = schemas.settlement.parse(body);
  let announcement = webhooks.announce([]);
  const settled = books.change(
    { requestId: null, key: null, apiVersion: "simulator" },
    (draft) => settle(draft, id, outcome),
    (_, events) => {
      const deliveries = webhooks.planned(events);
      announcement = webhooks.announce(deliveries);
      return { deliveries };
    },
  );
  void announcement.beforeAnswer();
  announcement.afterAnswer();
  return settled;
};

const startAgain: Handler = ({ books, faults, holds, webhooks, counts }, { body }) => {
  const { keepWebhooks } = schemas.reset.parse(body);
  const { settings } = webhooks;
  holds.release({ all: true }, "drop");
  faults.clear();
  webhooks.clear();
  counts.clear();
  books.clear(keepWebhooks ? { webhooks: settings } : {});
  return {};
};

const handlers: Readonly<Record<string, Handler>> = {
  "GET /control/rules": ({ faults }) => faults.list(),
  "POST /control/rules": ({ faults }, { body }) => faults.add(schemas.newRule.parse(body)),
  "DELETE /control/rules": ({ faults }) => ({ cleared: faults.clear() }),
  "DELETE /control/rules/:id": ({ faults }, { id }) => {
    if (!faults.clear(id)) throw notFound(`rule ${id}`);
    return { cleared: true };
  },
  "GET /control/held": listHeld,
  "POST /control/release": ({ holds }, { body }) => {
    const { action, ...which } = schemas.release.parse(body);
    const released = holds.release(which, action);
    if ("id" in which && released === 0) throw notFound(`held request ${which.id}`);
    return { released };
  },
  "GET /control/webhooks": ({ webhooks, books }) => ({
    settings: webhooks.settings,
    deliveries: [...books.deliveries.values()],
  }),
  "POST /control/webhooks": ({ webhooks }, { body }) => webhooks.set(schemas.webhookChanges.parse(body)),
  "POST /control/webhooks/flush": ({ webhooks }) => webhooks.flush(),
  "POST /control/webhooks/redeliver": ({ webhooks }, { body }) =>
    webhooks.redeliver(schemas.redelivery.parse(body)),
  "GET /control/ledger": readLedger,
  "GET /control/requests": ({ counts }) => counts.list(),
  "POST /control/settle": settleOne,
  "POST /control/reset": startAgain,
};

/** The handler of a path and the id in it. */
function handlerOf(method: string, path: string): { handler: Handler; id: string } | undefined {
  const exact = handlers[`${method} ${path}`];
  if (exact) return { handler: exact, id: "" };
  const [, base, id] = /^(.*)\/([\w-]+)$/.exec(path) ?? [];
  const handler = handlers[`${method} ${base}/:id`];
  return handler && { handler, id: id! };
}

function bodyOf(text: string): unknown {
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    throw new Refusal(400, { error: { message: "The body is not JSON." } });
  }
}

/** Steers a simulator: everything below /control. */
export async function controlApi(side: StripeSide, request: HttpRequest): Promise<HttpAnswer> {
  const { method, path } = request;
  const found = handlerOf(method, path);
  if (!found) return json(404, { error: { message: `There is no ${method} ${path}.` } });
  try {
    const query = Object.fromEntries(new URLSearchParams(request.query));
    return json(200, await found.handler(side, { body: bodyOf(request.body), query, id: found.id }));
  } catch (error) {
    if (error instanceof Refusal) return json(error.status, error.value);
    if (error instanceof ApiError) return json(error.status, { error: error.body });
    if (error instanceof z.ZodError) return json(400, { error: { message: z.prettifyError(error) } });
    throw error;
  }
}
