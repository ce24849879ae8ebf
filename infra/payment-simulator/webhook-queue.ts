import type { Books } from "./books";
import type { WebhookSettings } from "./control-contract";
import { attempt, type Forgery } from "./webhook-attempt";

const retryMsMax = 5000;

const backoffMs = ({ retry: { firstMs } }: WebhookSettings, attempts: number): number =>
  Math.min(retryMsMax, firstMs * 2 ** (attempts - 1));

/** Sends deliveries, again and again if need be. */
export function webhookQueue(books: Books, settings: () => WebhookSettings, clock: () => number) {
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  const underWay = new Map<string, Promise<unknown>>();
  let ending = new AbortController();

  async function send(id: string, forgery?: Forgery): Promise<void> {
    const delivery = books.deliveries.get(id);
    const event = books.get("event", delivery?.event ?? "");
    if (delivery?.state !== "waiting" || !event) return;
    const { endpoints, retry } = settings();
    const endpoint = endpoints.find(({ url }) => url === delivery.url);
    const { signal } = ending;
    const status = endpoint ? await attempt(endpoint, event, clock(), signal, forgery) : 0;
    if (signal.aborted) return;
    const attempts = delivery.attempts + 1;
    const isDone = status >= 200 && status < 300;
    const isLast = endpoint === undefined || forgery !== undefined || attempts >= retry.attemptsMax;
    const state = isDone ? "delivered" : isLast ? "failed" : "waiting";
    books.keep({ deliveries: [{ ...delivery, state, attempts, lastStatus: status }] });
    if (state === "waiting") sendLater(id, backoffMs(settings(), attempts));
  }

  function sendNow(id: string, forgery?: Forgery): Promise<unknown> {
    clearTimeout(timers.get(id));
    timers.delete(id);
    const running = underWay.get(id);
    if (running) return running;
    const started = send(id, forgery).finally(() => underWay.delete(id));
    underWay.set(id, started);
    return started;
  }

  function sendLater(id: string, ms: number): void {
    timers.set(
      id,
      setTimeout(() => void sendNow(id), ms),
    );
  }

  async function inTurn(ids: readonly string[], forgery?: Forgery): Promise<void> {
    const { signal } = ending;
    for (const id of ids) if (!signal.aborted) await sendNow(id, forgery);
  }

  function end(): void {
    for (const timer of timers.values()) clearTimeout(timer);
    timers.clear();
    ending.abort();
    ending = new AbortController();
  }

  return { sendNow, sendLater, inTurn, end, idle: () => Promise.all(underWay.values()) };
}
