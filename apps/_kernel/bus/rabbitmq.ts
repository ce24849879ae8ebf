import {
  type AsyncMessage,
  Connection,
  type Consumer,
  ConsumerStatus,
  type Publisher,
} from "rabbitmq-client";
import { type Turnstile, turnstile, within } from "../concurrency";
import { errorFields, type Log } from "../log";
import type { ServiceName } from "../topology";
import { isEvent, isMalformed, isPassing, parsed } from "./consume";
import type { Delivery, EventBus, Failure, Inbox } from "./port";
import { attemptsMax, awayDelayMs, refusedDelayMs } from "./timing";

export interface RabbitmqOptions {
  url: string;
  log: Log;
  /** Milliseconds before the second attempt; see refusedDelayMs. */
  backoffMs: number;
  /** Prefix of all names on the broker, so that two malls can share one. */
  prefix?: string;
}

/** Messages of one service in hand at once; one that waits for its next attempt keeps its place. */
const inHandMax = 100;
/** Messages of one service that are being handled at once. */
const handledAtOnce = 10;
/** A refused message is kept in hand no longer than this before it goes back. */
const heldMsMax = 8_000;
const handleTimeoutMs = 15_000;
const publishTimeoutMs = 5_000;
const closeTimeoutMs = 10_000;

/** The names of one consumer on the broker. */
const namesOf = (prefix: string, consumer: string) => ({
  exchange: `${prefix}.events`,
  deadExchange: `${prefix}.dead`,
  queue: `${prefix}.${consumer}`,
  deadQueue: `${prefix}.${consumer}.dead`,
});

/**
 * What a consumer needs on the broker: a quorum queue on the exchange of all events, and beside it a quorum queue for
 * what was returned too often. Dead-lettering is at least once, which needs reject-publish.
 */
function declarations(prefix: string, consumer: string) {
  const { exchange, deadExchange, queue, deadQueue } = namesOf(prefix, consumer);
  return {
    exchanges: [exchange, deadExchange].map((name) => ({ exchange: name, type: "direct", durable: true })),
    queue: {
      queue,
      durable: true,
      arguments: {
        "x-queue-type": "quorum" as const,
        "x-delivery-limit": attemptsMax - 1,
        "x-dead-letter-exchange": deadExchange,
        "x-dead-letter-routing-key": consumer,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish" as const,
      },
    },
    binding: { exchange, queue, routingKey: consumer },
    deadQueue: { queue: deadQueue, durable: true, arguments: { "x-queue-type": "quorum" as const } },
    deadBinding: { exchange: deadExchange, queue: deadQueue, routingKey: consumer },
  };
}

/** Publishing with confirms: a message is out when the broker has it on disk in a queue. */
interface Outlet {
  send(consumer: ServiceName, id: string, body: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

function outletOf(connection: Connection, prefix: string): Outlet {
  const publishers = new Map<ServiceName, Publisher>();
  const returned = new Set<string>();
  const publisherOf = (consumer: ServiceName): Publisher => {
    const known = publishers.get(consumer);
    if (known) return known;
    // declared by publishers too: events wait for a consumer that has never run
    const { exchanges, queue, binding, deadQueue, deadBinding } = declarations(prefix, consumer);
    const queues = [deadQueue, queue];
    const queueBindings = [deadBinding, binding];
    const made = connection.createPublisher({ confirm: true, exchanges, queues, queueBindings });
    made.on("basic.return", (message) => void returned.add(message.messageId ?? ""));
    publishers.set(consumer, made);
    return made;
  };
  return {
    async send(consumer, id, body) {
      const { exchange } = namesOf(prefix, consumer);
      const envelope = { exchange, routingKey: consumer, messageId: id, mandatory: true, durable: true };
      const contentType = "application/cloudevents+json";
      await publisherOf(consumer).send({ ...envelope, contentType }, Buffer.from(body));
      // what no queue takes comes back before its confirm, but is told a turn later
      await new Promise((resolve) => setImmediate(resolve));
      if (returned.delete(id)) throw new Error(`no queue takes events for ${consumer}`);
    },
    async close() {
      await Promise.all([...publishers.values()].map((publisher) => publisher.close()));
    },
  };
}

/** What handling a message of one service needs. */
interface Desk {
  service: ServiceName;
  inbox: Inbox;
  outlet: Outlet;
  backoffMs: number;
  /** Waits, but not longer than until the bus closes. */
  pause(ms: number): Promise<void>;
}

/**
 * The bus over RabbitMQ, for containers: publisher confirms, mandatory delivery, a quorum queue for each consumer. A
 * message that is refused 10 times becomes a dead letter of its consumer; one that comes back 10 times without an
 * answer, since it kills who takes it, gets there through the dead-letter exchange. A broker that is away is looked
 * for without end.
 */
export function rabbitmqBus({ url, log, backoffMs, prefix = "mall" }: RabbitmqOptions): EventBus {
  let opened: { connection: Connection; outlet: Outlet } | undefined;
  const consumers: Consumer[] = [];
  const closing = Promise.withResolvers<void>();
  const open = () => {
    if (opened) return opened;
    const connection = new Connection({
      url,
      acquireTimeout: 3_000,
      connectionTimeout: 3_000,
      retryHigh: 3_000,
    });
    connection.on("error", (error) => log("warn", "RabbitMQ is away", errorFields(error)));
    opened = { connection, outlet: outletOf(connection, prefix) };
    return opened;
  };
  let closed: Promise<void> | undefined;
  const end = async () => {
    if (!opened) return;
    const { connection, outlet } = opened;
    const all = Promise.all(consumers.map((consumer) => consumer.close()))
      .then(() => outlet.close())
      .then(() => connection.close());
    await within(closeTimeoutMs, "RabbitMQ", all).catch(() => connection.unsafeDestroy());
  };
  const send = async (delivery: Delivery): Promise<Failure[]> => {
    const { consumer, event } = delivery;
    try {
      const sent = open().outlet.send(consumer, event.id, Buffer.from(JSON.stringify(event)));
      await within(publishTimeoutMs, "RabbitMQ", sent);
      return [];
    } catch (error) {
      return [{ delivery, error, kind: "away" }];
    }
  };
  return {
    isDirect: false,
    canDelay: false,
    publish: async (deliveries) => (await Promise.all(deliveries.map(send))).flat(),
    async listen(service, inbox) {
      const { connection, outlet } = open();
      const pause = (ms: number) =>
        Promise.race([new Promise<void>((done) => setTimeout(done, ms)), closing.promise]);
      const desk: Desk = { service, inbox, outlet, backoffMs, pause };
      const made = [counter(connection, prefix, desk), undertaker(connection, prefix, desk)];
      for (const consumer of made)
        consumer.on("error", (error) => log("warn", "RabbitMQ consumer", { service, ...errorFields(error) }));
      consumers.push(...made);
    },
    async close() {
      closing.resolve();
      closed ??= end();
      await closed;
    },
  };
}

/** Takes the messages of a service and hands them to it. */
function counter(connection: Connection, prefix: string, desk: Desk): Consumer {
  const { exchanges, queue: queueOptions, binding } = declarations(prefix, desk.service);
  const turn = turnstile(handledAtOnce);
  return connection.createConsumer(
    {
      queue: queueOptions.queue,
      queueOptions,
      exchanges,
      queueBindings: [binding],
      concurrency: inHandMax,
      qos: { prefetchCount: inHandMax },
    },
    (message) => receive(desk, message, turn),
  );
}

/** How often a message has been returned to its queue. */
const returnsOf = (message: AsyncMessage): number => Number(message.headers?.["x-delivery-count"] ?? 0);

const eventOf = (message: AsyncMessage): unknown => parsed(Buffer.from(message.body).toString());

async function receive(
  { service, inbox, outlet, backoffMs, pause }: Desk,
  message: AsyncMessage,
  turn: Turnstile,
): Promise<ConsumerStatus> {
  const event = eventOf(message);
  try {
    await turn(() => within(handleTimeoutMs, "the consumer", inbox.handle(event)));
    return ConsumerStatus.ACK;
  } catch (error) {
    if (isEvent(event) && isPassing(error)) {
      await pause(Math.min(awayDelayMs(event.time, Date.now(), backoffMs), heldMsMax));
      // back at the end of the queue, where it does not count as returned
      await outlet.send(service, event.id, Buffer.from(message.body));
      return ConsumerStatus.ACK;
    }
    const attempts = returnsOf(message) + 1;
    if (isMalformed(error) || attempts >= attemptsMax) {
      await inbox.bury(event, error instanceof Error ? error.message : String(error));
      return ConsumerStatus.ACK;
    }
    await pause(Math.min(refusedDelayMs(attempts, backoffMs), heldMsMax));
    return ConsumerStatus.REQUEUE;
  }
}

/** Keeps what the broker gave up. */
function undertaker(connection: Connection, prefix: string, { service, inbox, pause }: Desk): Consumer {
  const { exchanges, deadQueue: queueOptions, deadBinding } = declarations(prefix, service);
  return connection.createConsumer(
    {
      queue: queueOptions.queue,
      queueOptions,
      exchanges,
      queueBindings: [deadBinding],
      qos: { prefetchCount: handledAtOnce },
    },
    async (message) => {
      const reason = message.headers?.["x-first-death-reason"] ?? "unknown";
      try {
        await inbox.bury(eventOf(message), `given up by RabbitMQ: ${reason}`);
      } catch (error) {
        // the database is away; a quorum queue without a delivery limit gives it back for ever
        await pause(heldMsMax);
        throw error;
      }
      return ConsumerStatus.ACK;
    },
  );
}
