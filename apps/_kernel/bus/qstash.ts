import { Client, QstashError, Receiver } from "@upstash/qstash";
import { within } from "../concurrency";
import { parsed } from "./consume";
import { eventPath, failurePath, sweepsPath } from "./paths";
import type { Delivery, EventBus, Failure } from "./port";

/** How QStash is reached, and how it reaches us. */
export interface QStashSettings {
  url: string;
  token: string;
  currentSigningKey: string;
  nextSigningKey: string;
  /** Origin of the gateway as QStash sees it. */
  publicUrl: string;
  /** Milliseconds before QStash's second attempt; each further one waits four times as long. */
  backoffMs: number;
}

const publishTimeoutMs = 10_000;

/** QStash read the message and will not have it, whoever sends it how often. */
const isRefusal = (error: unknown): boolean =>
  error instanceof QstashError && [400, 404, 412, 413, 422].includes(error.status ?? 0);

const failed = (delivery: Delivery, error: unknown): Failure => ({
  delivery,
  error,
  kind: isRefusal(error) ? "refused" : "away",
});

const clientOf = ({ url, token }: QStashSettings): Client =>
  new Client({ baseUrl: url, token, devMode: false, enableTelemetry: false, retry: false });

/**
 * The bus over QStash: one batch call however many events there are, each deduplicated by its id, delivered to the
 * gateway, tried as often as the account's plan allows, and reported to the consumer when that was in vain. Runs on
 * every host, since it is only fetch.
 */
export function qstashBus(settings: QStashSettings): EventBus {
  const client = clientOf(settings);
  const messageOf = ({ consumer, event, notBefore }: Delivery) => ({
    url: settings.publicUrl + eventPath(consumer),
    failureCallback: settings.publicUrl + failurePath(consumer),
    method: "POST" as const,
    headers: { "content-type": "application/cloudevents+json" },
    body: JSON.stringify(event),
    deduplicationId: event.id,
    retryDelay: `pow(4, retried) * ${settings.backoffMs}`,
    timeout: "15s" as const,
    ...(notBefore ? { notBefore: Math.ceil(notBefore.getTime() / 1000) } : {}),
  });
  const send = async (deliveries: readonly Delivery[]): Promise<Failure[]> => {
    const answers = (await within(
      publishTimeoutMs,
      "QStash",
      client.batch(deliveries.map(messageOf)),
    )) as readonly { messageId?: string; error?: string }[];
    return deliveries.flatMap((delivery, i) =>
      answers[i]?.messageId
        ? []
        : [failed(delivery, new QstashError(answers[i]?.error ?? "QStash took no message", 400))],
    );
  };
  return {
    isDirect: false,
    canDelay: true,
    async publish(deliveries) {
      try {
        return await send(deliveries);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        if (deliveries.length === 1) return [failed(deliveries[0]!, error)];
        // one message that it does not take must not keep the others from it
        const alone = deliveries.map((delivery) =>
          send([delivery]).catch((reason: unknown) => [failed(delivery, reason)]),
        );
        return (await Promise.all(alone)).flat();
      }
    },
  };
}

/** When QStash asks for what is due. */
export interface SweepSchedule {
  /** Five fields, in UTC. */
  cron: string;
  destination: string;
  isPaused: boolean;
}

/**
 * QStash's schedule that wakes a mall whose processes sleep while nobody asks them anything: it posts to `sweepsPath` of
 * the gateway. There is one for each address of a gateway. Rejects with QStash's words, and when it does not answer in time.
 */
export function sweepSchedule(settings: QStashSettings) {
  const { schedules } = clientOf(settings);
  const destination = settings.publicUrl + sweepsPath;
  const scheduleId = `mall-sweep-${new URL(destination).host.replace(/[^a-z0-9]+/g, "-")}`;
  const asked = <T>(work: Promise<T>): Promise<T> => within(publishTimeoutMs, "QStash", work);
  return {
    /** Makes it, or changes the one that is there. What fails is not tried again: the next time comes soon. */
    set: (cron: string) =>
      asked(schedules.create({ scheduleId, destination, cron, method: "POST", retries: 0, timeout: 30 })),
    async get(): Promise<SweepSchedule | undefined> {
      const all = await asked(schedules.list());
      return all.find((schedule) => schedule.scheduleId === scheduleId);
    },
    remove: () => asked(schedules.delete(scheduleId)),
  };
}

/** Whether QStash sent this body to this path of ours, judged by the signature with the current or the next key. */
export function qstashVerifier(
  settings: QStashSettings,
): (path: string, signature: string, body: string) => Promise<boolean> {
  const { currentSigningKey, nextSigningKey, publicUrl } = settings;
  const receiver = new Receiver({ currentSigningKey, nextSigningKey, devMode: false });
  return (path, signature, body) =>
    receiver.verify({ signature, body, url: publicUrl + path, clockTolerance: 5 }).then(
      () => true,
      () => false,
    );
}

/** What QStash reports about a message that it gave up: the message as it was, and why. */
export function undelivered(body: string): { message: unknown; error: string } {
  const {
    status,
    body: answer = "",
    sourceBody = "",
    retried = 0,
  } = JSON.parse(body) as {
    status?: number;
    body?: string;
    sourceBody?: string;
    retried?: number;
  };
  const text = textOf(answer).slice(0, 300);
  return {
    message: parsed(textOf(sourceBody)),
    error: `answered ${status ?? "nothing"} after ${retried} retries: ${text}`,
  };
}

const textOf = (base64: string): string =>
  new TextDecoder().decode(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)));
