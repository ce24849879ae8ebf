import { randomOf } from "../random";
import type { Books } from "./books";
import type { Delivery, DeliveryCount, Redelivery, WebhookSettings } from "./control-contract";
import type { Event } from "./objects";
import { wholeOf } from "./seeded";
import { webhookQueue } from "./webhook-queue";

const plain: WebhookSettings = {
  endpoints: [],
  timing: "after",
  copies: 1,
  delayMs: 0,
  shuffle: 0,
  retry: { firstMs: 100, attemptsMax: 12 },
};

/** Deliveries of one request: the request says when its answer goes out. */
export interface Announcement {
  beforeAnswer(): Promise<void>;
  afterAnswer(): void;
}

export interface Webhooks {
  readonly settings: WebhookSettings;
  set(changes: Partial<WebhookSettings>): WebhookSettings;
  /** The deliveries of events, for the books to keep. */
  planned(events: readonly Event[]): Delivery[];
  announce(deliveries: readonly Delivery[]): Announcement;
  /** Sends at once what waits. Resolves when nothing is under way any more. */
  flush(): Promise<DeliveryCount>;
  redeliver(redelivery: Redelivery): Promise<DeliveryCount>;
  /** Goes on with what earlier processes did not deliver. */
  resume(): void;
  /** Forgets what waits and ends what is under way. */
  clear(): void;
}

const isAbout = ({ data: { object } }: Event, intent: string): boolean =>
  object.id === intent || ("payment_intent" in object && object.payment_intent === intent);

/** Deliveries of an event to each endpoint that wants to hear of it. */
const newDeliveries = (
  { endpoints }: WebhookSettings,
  newId: (prefix: string) => string,
  { id: event, type }: Event,
  state: Delivery["state"],
  copies: number,
): Delivery[] =>
  endpoints
    .filter(({ events }) => events === undefined || events.includes(type))
    .flatMap(({ url }) => Array.from({ length: copies }, () => url))
    .map((url) => ({ id: newId("dlv_1"), event, type, url, state, attempts: 0, lastStatus: null }));

/** Tells endpoints about events, as well or as badly as the settings want. */
export function webhookSender(books: Books, seed: string, clock: () => number): Webhooks {
  const settings = () => books.webhooks ?? plain;
  const { sendNow, sendLater, inTurn, end, idle } = webhookQueue(books, settings, clock);
  let gathered: string[] = [];
  let batches = 0;
  let delays = 0;

  const inOrder = (ids: readonly string[], isShuffled: boolean): string[] =>
    isShuffled ? randomOf([seed, "batch", ++batches].join("/")).shuffle(ids) : [...ids];
  const count = (ids: readonly string[]): DeliveryCount => {
    const delivered = ids.filter((id) => books.deliveries.get(id)?.state === "delivered").length;
    return { delivered, failed: ids.length - delivered };
  };
  const deliveriesOf = (event: Event, state: Delivery["state"], copies: number) =>
    newDeliveries(settings(), books.newId, event, state, copies);

  function dispatch(ids: readonly string[]): void {
    const { shuffle, delayMs } = settings();
    if (shuffle === 0) {
      for (const id of ids) sendLater(id, wholeOf(delayMs, seed, "delay", ++delays));
      return;
    }
    gathered.push(...ids);
    while (gathered.length >= shuffle) void inTurn(inOrder(gathered.splice(0, shuffle), true));
  }

  return {
    get settings() {
      return settings();
    },
    set(changes) {
      books.keep({ webhooks: { ...settings(), ...changes } });
      return settings();
    },
    planned: (events) => {
      const { timing, copies } = settings();
      const state = timing === "never" ? "suppressed" : "waiting";
      return events.flatMap((event) => deliveriesOf(event, state, copies));
    },
    announce(deliveries) {
      const ids = deliveries.filter(({ state }) => state === "waiting").map(({ id }) => id);
      const isFirst = settings().timing === "before" && settings().shuffle === 0;
      return {
        beforeAnswer: async () => {
          if (isFirst) await inTurn(ids);
        },
        afterAnswer: () => {
          if (!isFirst) dispatch(ids);
        },
      };
    },
    async flush() {
      const waiting = [...books.deliveries.values()].filter(({ state }) => state === "waiting");
      const ids = inOrder(
        waiting.map(({ id }) => id),
        settings().shuffle > 0,
      );
      gathered = [];
      if (settings().shuffle > 0) await inTurn(ids);
      else await Promise.all(ids.map((id) => sendNow(id)));
      await idle();
      return count(ids);
    },
    async redeliver({ events, paymentIntent, all, copies = 1, shuffle = false, ...forgery }) {
      const isMeant = (event: Event) =>
        all === true ||
        events?.includes(event.id) === true ||
        (paymentIntent !== undefined && isAbout(event, paymentIntent));
      const again = books.all("event").filter(isMeant);
      const deliveries = again.flatMap((event) => deliveriesOf(event, "waiting", copies));
      books.keep({ deliveries });
      const ids = inOrder(
        deliveries.map(({ id }) => id),
        shuffle,
      );
      await inTurn(ids, forgery);
      return count(ids);
    },
    resume: () => {
      for (const { id, state } of books.deliveries.values()) if (state === "waiting") sendLater(id, 0);
    },
    clear: () => {
      gathered = [];
      end();
    },
  };
}
