import { type Context, Hono } from "hono";
import { randomOf } from "../random";
import type { Chaos, Deliverer, Keys } from "./deliver";
import { lists, noChaos } from "./deliver";
import { Refused, type Wanted, wantedOf } from "./publish";
import type { Schedule } from "./schedules";
import type { Draft, Message, Store } from "./store";

export interface RoutesOptions {
  store: Store;
  deliverer: Deliverer;
  token: string;
  /** Most retries that the account's plan allows. */
  retriesMax: number;
  keys(): Keys;
  rotate(): Keys;
}

/** A message as QStash's API shows it. */
const shown = (message: Message) => ({
  messageId: message.id,
  url: message.url,
  method: message.method,
  header: lists(message.headers),
  body: message.body,
  createdAt: message.createdMs,
  notBefore: message.dueMs,
  maxRetries: message.maxRetries,
  retryDelayExpression: message.retryDelay ?? undefined,
  callback: message.callback ?? undefined,
  failureCallback: message.failureCallback ?? undefined,
  callerIP: "127.0.0.1",
});

const shownDead = (message: Message) => ({
  ...shown(message),
  dlqId: message.dlqId,
  responseStatus: message.status ?? 0,
  responseBody: message.answer ?? "",
});

const wantedIds = (c: Context, name: string): string[] | undefined => c.req.queries(name);

/** Everything a stand-in answers: the API of QStash as far as its client calls it, and the control API. */
export function qstashRoutes(options: RoutesOptions): Hono {
  const app = new Hono();
  app.get("/livez", (c) => c.json({ status: "ok" }));
  app.use(async (c, next) => {
    if (c.req.header("authorization") === `Bearer ${options.token}`) return next();
    return c.json({ error: "invalid token" }, 401);
  });
  publishRoutes(app, options);
  messageRoutes(app, options);
  scheduleRoutes(app, options);
  controlRoutes(app, options);
  app.notFound((c) => c.json({ error: `the stand-in does not know ${c.req.method} ${c.req.path}` }, 404));
  app.onError((error, c) => {
    if (error instanceof Refused) return c.json({ error: error.message }, error.status);
    console.error(error);
    return c.json({ error: "internal" }, 500);
  });
  return app;
}

/** The address that a path ends with. */
function destinationOf(c: Context, prefix: string): string {
  const { pathname, search } = new URL(c.req.url);
  return decodeURI(pathname.slice(prefix.length)) + search;
}

function publishRoutes(app: Hono, { store, deliverer, retriesMax }: RoutesOptions): void {
  const accept = ({ draft, key }: Wanted) => {
    const { messageId, deduplicated } = store.accept(
      { ...draft, dueMs: draft.dueMs + deliverer.lagMs() },
      key,
      Date.now(),
    );
    return { messageId, ...(deduplicated ? { deduplicated } : {}), url: draft.url };
  };
  app.post("/v2/publish/*", async (c) => {
    const destination = destinationOf(c, "/v2/publish/");
    const wanted = wantedOf(destination, c.req.raw.headers, await c.req.text(), retriesMax, Date.now());
    const answer = accept(wanted);
    deliverer.wake();
    return c.json(answer, 201);
  });
  app.post("/v2/batch", async (c) => {
    const list = await c.req.json<{ destination: string; headers?: object; body?: string }[]>();
    // all are read before the first is accepted: one that is wrong refuses the batch
    const wanted = list.map(({ destination, headers, body }) =>
      wantedOf(
        destination,
        new Headers(headers as Record<string, string>),
        body ?? "",
        retriesMax,
        Date.now(),
      ),
    );
    const answers = wanted.map(accept);
    deliverer.wake();
    return c.json(answers, 201);
  });
}

function messageRoutes(app: Hono, { store, deliverer, keys, rotate }: RoutesOptions): void {
  app.get("/v2/messages/:id", (c) => {
    const message = store.pending(c.req.param("id"));
    return message ? c.json(shown(message)) : c.json({ error: "message not found" }, 404);
  });
  app.delete("/v2/messages/:id", (c) => {
    const cancelled = store.cancel([c.req.param("id")]);
    return cancelled === 1 ? c.json({ cancelled }) : c.json({ error: "message not found" }, 404);
  });
  app.delete("/v2/messages", (c) => c.json({ cancelled: store.cancel(wantedIds(c, "messageIds")) }));
  app.get("/v2/dlq", (c) => {
    const ids = wantedIds(c, "dlqIds");
    const messages = store.dead().filter(({ dlqId }) => !ids || ids.includes(dlqId!));
    return c.json({ messages: messages.slice(0, Number(c.req.query("count") ?? 100)).map(shownDead) });
  });
  app.get("/v2/dlq/:id", (c) => {
    const message = store.dead().find(({ dlqId }) => dlqId === c.req.param("id"));
    return message ? c.json(shownDead(message)) : c.json({ error: "message not found" }, 404);
  });
  app.delete("/v2/dlq/:id", (c) => {
    const deleted = store.deleteDead([c.req.param("id")]);
    return deleted === 1 ? c.json({ deleted }) : c.json({ error: "message not found" }, 404);
  });
  app.delete("/v2/dlq", (c) => c.json({ deleted: store.deleteDead(wantedIds(c, "dlqIds")) }));
  app.post("/v2/dlq/retry", (c) => {
    const ids = wantedIds(c, "dlqIds");
    const messages = store.dead().filter(({ dlqId }) => !ids || ids.includes(dlqId!));
    const responses = messages.map((message) => ({
      messageId: store.add({ ...message, id: undefined, dueMs: Date.now() }, Date.now()),
    }));
    store.deleteDead(messages.map(({ dlqId }) => dlqId!));
    deliverer.wake();
    return c.json({ responses });
  });
  app.get("/v2/keys", (c) => c.json(keys()));
  app.post("/v2/keys/rotate", (c) => c.json(rotate()));
}

/** A schedule as QStash's API shows it. */
const shownSchedule = ({ id, cron, draft, createdMs, nextMs, isPaused }: Schedule) => ({
  scheduleId: id,
  cron,
  createdAt: createdMs,
  destination: draft.url,
  method: draft.method,
  header: lists(draft.headers),
  body: draft.body,
  retries: draft.maxRetries,
  isPaused,
  nextScheduleTime: nextMs,
});

function scheduleRoutes(app: Hono, { store, deliverer, retriesMax }: RoutesOptions): void {
  const missing = (c: Context) => c.json({ error: "schedule not found" }, 404);
  app.post("/v2/schedules/*", async (c) => {
    const destination = destinationOf(c, "/v2/schedules/");
    const { headers } = c.req.raw;
    const { draft } = wantedOf(destination, headers, await c.req.text(), retriesMax, Date.now());
    const [cron, id] = [headers.get("upstash-cron") ?? "", headers.get("upstash-schedule-id") ?? undefined];
    const scheduleId = store.schedule(draft, cron, Date.now(), id);
    deliverer.wake();
    return c.json({ scheduleId }, 201);
  });
  app.get("/v2/schedules", (c) => c.json(store.schedules().map(shownSchedule)));
  app.get("/v2/schedules/:id", (c) => {
    const schedule = store.scheduled(c.req.param("id"));
    return schedule ? c.json(shownSchedule(schedule)) : missing(c);
  });
  app.delete("/v2/schedules/:id", (c) =>
    store.unschedule(c.req.param("id")) ? c.body(null, 202) : missing(c),
  );
  for (const [verb, isPaused] of [
    ["pause", true],
    ["resume", false],
  ] as const)
    app.patch(`/v2/schedules/:id/${verb}`, (c) => {
      if (!store.pause(c.req.param("id"), isPaused)) return missing(c);
      deliverer.wake();
      return c.body(null, 202);
    });
  app.post("/control/schedules/:id/hasten", (c) => {
    if (!store.hasten(c.req.param("id"), Date.now())) return missing(c);
    deliverer.wake();
    return c.json({});
  });
}

/** A message to replay, as `GET /control/recorded` shows it. */
export interface Recorded {
  messageId: string;
  url: string;
  method: string;
  headers: Record<string, string>;
  body: string;
  maxRetries: number;
  retryDelay: string | null;
  failureCallback: string | null;
}

export interface Replay {
  /** Decides the order. */
  seed: number;
  /** How often each message goes out; default 1. */
  copies?: number;
  /** Milliseconds between two messages; default 1. */
  spacingMs?: number;
  /** Default: everything this stand-in has recorded. */
  messages?: Recorded[];
}

const recordedOf = (message: Message): Recorded => ({
  messageId: message.id,
  url: message.url,
  method: message.method,
  headers: message.headers,
  body: message.body,
  maxRetries: message.maxRetries,
  retryDelay: message.retryDelay,
  failureCallback: message.failureCallback,
});

function replayed(store: Store, { seed, copies = 1, spacingMs = 1, messages }: Replay): number {
  const known = messages ?? store.recorded().map(recordedOf);
  const order = randomOf(`${seed}`).shuffle(Array.from({ length: copies }, () => known).flat());
  const nowMs = Date.now();
  order.forEach(({ messageId, ...message }, i) => {
    const rest = { callback: null, timeoutMs: 15_000, kind: "replay" } satisfies Partial<Draft>;
    store.add({ ...message, ...rest, id: messageId, dueMs: nowMs + i * spacingMs }, nowMs);
  });
  return order.length;
}

function controlRoutes(app: Hono, { store, deliverer }: RoutesOptions): void {
  const state = () => {
    const { pending = 0, delivered = 0, failed = 0, cancelled = 0 } = store.counts();
    const [isHeld, inHand] = [deliverer.isHeld(), deliverer.inHand()];
    return { pending, inHand, delivered, failed, cancelled, isHeld, faults: deliverer.faults() };
  };
  app.get("/control/state", (c) => c.json(state()));
  app.get("/control/recorded", (c) => c.json(store.recorded().map(recordedOf)));
  app.get("/control/attempts", (c) => c.json(store.attempts(Number(c.req.query("after") ?? 0))));
  app.put("/control/chaos", async (c) => {
    const chaos: Chaos = { ...noChaos, ...(await c.req.json<Partial<Chaos>>()) };
    store.set("chaos", chaos);
    return c.json(chaos);
  });
  app.post("/control/hold", (c) => {
    deliverer.hold(true);
    return c.json(state());
  });
  app.post("/control/release", (c) => {
    deliverer.hold(false);
    return c.json(state());
  });
  app.post("/control/replay", async (c) => {
    const messages = replayed(store, await c.req.json<Replay>());
    deliverer.wake();
    return c.json({ messages });
  });
  app.delete("/control/messages", (c) => {
    store.clear();
    deliverer.forget();
    return c.json(state());
  });
}
