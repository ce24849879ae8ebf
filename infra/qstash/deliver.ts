import { randomOf } from "../random";
import { defaultRetryDelay, parseRetryDelay } from "./retry-delay";
import { signatureOf } from "./signature";
import { type Draft, dlqIdOf, type Message, type Store } from "./store";

/** What goes wrong on purpose, each at most once a message. Probabilities are from 0 to 1. */
export interface Chaos {
  /** Decides everything that is left to chance. */
  seed: number;
  /** Probability that a delivered message is delivered once more. */
  duplicate: number;
  /** Probability that a delivery gets lost before the receiver. */
  drop: number;
  /** Probability that the receiver's answer gets lost. */
  loseAnswer: number;
  /** Each first delivery and each duplicate waits a random time up to this, so that messages overtake each other. */
  delayMs: number;
}

export const noChaos: Chaos = { seed: 1, duplicate: 0, drop: 0, loseAnswer: 0, delayMs: 0 };

/** How often each kind of chaos has happened. */
export interface Faults {
  duplicated: number;
  dropped: number;
  answersLost: number;
  delayed: number;
  reordered: number;
}

const noFaults: Faults = { duplicated: 0, dropped: 0, answersLost: 0, delayed: 0, reordered: 0 };

export interface Keys {
  current: string;
  next: string;
}

export interface DelivererOptions {
  store: Store;
  keys(): Keys;
  /** All waiting between retries is this many times shorter. */
  speed: number;
  /** Deliveries at once; many, since slow receivers must not hold up the others. */
  atOnce?: number;
}

const answerBytesMax = 4096;

interface Answer {
  status: number;
  headers: Record<string, string>;
  text: string;
}

const noAnswer = (why: string): Answer => ({ status: 0, headers: {}, text: why });

export type Deliverer = ReturnType<typeof startDeliverer>;

/** Delivers what is due until it is stopped. What it has in hand when it is killed is delivered again. */
export function startDeliverer(options: DelivererOptions) {
  const { store, atOnce = 1000 } = options;
  const inHand = new Set<number>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isHeld = store.setting<boolean>("held") ?? false;
  let isStopped = false;
  const faults: Faults = { ...noFaults, ...store.setting<Faults>("faults") };
  const hit = (name: keyof Faults) => {
    faults[name]++;
    store.set("faults", faults);
  };
  const wake = () => {
    clearTimeout(timer);
    if (isStopped || isHeld) return;
    // one instant for both: what falls due between two would be missed
    const nowMs = Date.now();
    for (const { id, draft } of store.takeDue(nowMs))
      store.add({ ...draft, headers: { ...draft.headers, "upstash-schedule-id": id }, dueMs: nowMs }, nowMs);
    for (const message of store.due(nowMs, inHand, atOnce - inHand.size)) {
      inHand.add(message.seq);
      void deliver(options, message, hit)
        .catch((error) => console.error("delivery failed", error))
        .finally(() => {
          inHand.delete(message.seq);
          wake();
        });
    }
    const nextMs = Math.min(
      store.nextDueMs(nowMs) ?? Number.POSITIVE_INFINITY,
      store.nextScheduledMs() ?? Number.POSITIVE_INFINITY,
    );
    if (nextMs !== Number.POSITIVE_INFINITY) timer = setTimeout(wake, Math.min(nextMs - nowMs, 60_000));
  };
  wake();
  let accepted = 0;
  return {
    wake,
    /** Milliseconds that chaos lets a new message wait. */
    lagMs() {
      const { seed, delayMs } = store.setting<Chaos>("chaos") ?? noChaos;
      if (delayMs === 0) return 0;
      hit("delayed");
      return Math.floor(randomOf(`${seed}/accepted ${++accepted}`).next() * delayMs);
    },
    faults: (): Faults => ({ ...faults }),
    inHand: () => inHand.size,
    isHeld: () => isHeld,
    hold(held: boolean) {
      isHeld = held;
      store.set("held", held);
      wake();
    },
    forget() {
      accepted = 0;
      Object.assign(faults, noFaults);
      store.set("faults", faults);
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      while (inHand.size > 0) await Bun.sleep(5);
    },
  };
}

async function deliver(
  options: DelivererOptions,
  message: Message,
  hit: (name: keyof Faults) => void,
): Promise<void> {
  const { store } = options;
  const chaos = store.setting<Chaos>("chaos") ?? noChaos;
  const { next: random } = randomOf(`${chaos.seed}/message ${message.seq}`);
  const [dropped, lost, duplicated, wait] = [random(), random(), random(), random()];
  const isFirst = message.retried === 0 && message.kind === "message";
  if (isFirst && store.isOvertaken(message.seq)) hit("reordered");
  const isDropped = isFirst && dropped < chaos.drop;
  if (isDropped) hit("dropped");
  const sent = isDropped ? noAnswer("dropped by chaos") : await post(options, message);
  if (!isDropped) store.attempted(message.seq, message.retried, sent.status, Date.now());
  const isLost = isFirst && !isDropped && lost < chaos.loseAnswer;
  if (isLost) hit("answersLost");
  const answer = isLost ? noAnswer("answer lost by chaos") : sent;
  const isDelivered = conclude(options, message, answer);
  if (isDelivered && message.kind === "message" && duplicated < chaos.duplicate) {
    hit("duplicated");
    const dueMs = Date.now() + Math.floor(wait * chaos.delayMs);
    store.add({ ...message, kind: "duplicate", dueMs, callback: null, failureCallback: null }, Date.now());
  }
}

/** Sends one signed request. Status 0 stands for no answer. */
async function post({ keys }: DelivererOptions, message: Message): Promise<Answer> {
  const { id, url, method, headers, body, retried, timeoutMs } = message;
  try {
    const response = await fetch(url, {
      method,
      headers: {
        ...headers,
        "user-agent": "Upstash-QStash",
        "upstash-message-id": id,
        "upstash-retried": String(retried),
        "upstash-signature": await signatureOf(keys().current, url, body),
      },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = (await response.text()).slice(0, answerBytesMax);
    return { status: response.status, headers: Object.fromEntries(response.headers), text };
  } catch (error) {
    return noAnswer(String(error));
  }
}

/** Ends a message or puts it back. Returns whether it was delivered. */
function conclude({ store, speed }: DelivererOptions, message: Message, answer: Answer): boolean {
  const { status, text } = answer;
  const isTaken = status >= 200 && status < 300;
  const isFinal = status === 489 && answer.headers["upstash-nonretryable-error"] === "true";
  if (isTaken) {
    const reports = message.callback ? [reportOf(message, answer, message.callback)] : [];
    return store.end(message, "delivered", status, text, reports);
  }
  if (message.retried < message.maxRetries && !isFinal) {
    store.retry(message.seq, Math.ceil(Date.now() + retryDelayMs(message, answer) / speed), status, text);
    return false;
  }
  const reports = message.failureCallback
    ? [reportOf(message, answer, message.failureCallback, dlqIdOf(message))]
    : [];
  store.end(message, "failed", status, text, reports);
  return false;
}

function retryDelayMs({ retried, retryDelay }: Message, { headers }: Answer): number {
  const afterSeconds = Number(headers["retry-after"] ?? Number.NaN);
  if (afterSeconds >= 0) return afterSeconds * 1000;
  return (retryDelay ? parseRetryDelay(retryDelay) : defaultRetryDelay)(retried);
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
/** Headers as QStash shows them. */
export const lists = (headers: Record<string, string>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));

/** The message that tells a callback address how a delivery ended. */
function reportOf(message: Message, answer: Answer, url: string, dlqId?: string): Draft {
  const { id, headers, body, method, retried, maxRetries, createdMs } = message;
  const report = {
    status: answer.status,
    header: lists(answer.headers),
    body: base64(answer.text),
    retried,
    maxRetries,
    dlqId,
    sourceMessageId: id,
    topicName: "",
    endpointName: "",
    url: message.url,
    method,
    sourceHeader: lists(headers),
    sourceBody: base64(body),
    notBefore: 0,
    createdAt: createdMs,
    scheduleId: message.headers["upstash-schedule-id"] ?? "",
    callerIP: "127.0.0.1",
  };
  return {
    url,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(report),
    dueMs: Date.now(),
    maxRetries,
    retryDelay: message.retryDelay,
    callback: null,
    failureCallback: null,
    timeoutMs: message.timeoutMs,
    kind: "report",
  };
}
