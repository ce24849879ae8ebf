import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { UserRegisteredSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { Connection, ConsumerStatus } from "rabbitmq-client";
import { fault } from "../fault";
import { tcpProxy } from "../testing/proxy";
import { rabbitmqForTests } from "../testing/rabbitmq";
import { busContract, type Listener } from "./contract";
import type { CloudEvent } from "./outbox";
import type { Delivery, EventBus, Inbox } from "./port";
import { rabbitmqBus } from "./rabbitmq";
import { attemptsMax } from "./timing";

const address = await rabbitmqForTests();
const newPrefix = () => `test-${crypto.randomUUID().slice(0, 8)}`;
const log = () => {};

/** Through a proxy that can be cut; consumers have a connection of their own, like another process. */
async function world(url: string, inboxes: Record<Listener, Inbox>, backoffMs: number) {
  const prefix = newPrefix();
  const direct = new URL(url);
  const proxy = await tcpProxy(Number(direct.port || 5672));
  const through = new URL(url);
  through.host = `127.0.0.1:${proxy.port}`;
  const bus = rabbitmqBus({ url: through.href, log, backoffMs, prefix });
  const receiving = rabbitmqBus({ url, log, backoffMs, prefix });
  for (const name of ["user", "cart"] as const) await receiving.listen!(name, inboxes[name]);
  return {
    bus,
    prefix,
    cut: proxy.cut,
    restore: proxy.restore,
    env: { BUS: "rabbitmq", RABBITMQ_URL: url, TEST_PREFIX: prefix },
    async stop() {
      await bus.close!();
      await receiving.close!();
      await proxy.stop();
    },
  };
}

if (address) {
  busContract("RabbitMQ", UserRegisteredSchema, (inboxes, backoffMs) => world(address, inboxes, backoffMs));
  describe("RabbitMQ", () => specifics(address));
} else {
  test("the RabbitMQ bus", () =>
    console.warn(
      "SKIPPED: RabbitMQ is not installed, its bus was not tried; infra/install-debian.sh installs it",
    ));
}

const eventOf = (subject: string): CloudEvent => ({
  specversion: "1.0",
  id: crypto.randomUUID(),
  source: "/mall/auth",
  type: UserRegisteredSchema.typeName,
  subject,
  time: new Date().toISOString(),
  datacontenttype: "application/json",
  sequence: "1",
  data: { userId: subject },
});
const toUser = (event: CloudEvent): Delivery => ({ consumer: "user", event });

/** Publishes as the relay does: a queue that was declared a moment ago may refuse, and gets it a moment later. */
const publish = (bus: EventBus, event: CloudEvent): Promise<void> =>
  until(async () => (await bus.publish([toUser(event)])).length === 0);

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (const givenUpAtMs = Date.now() + 90_000; !(await isTrue()); await Bun.sleep(10))
    if (Date.now() > givenUpAtMs) throw new Error("it did not happen");
}

function specifics(url: string): void {
  const raw = new Connection(url);
  const buses: EventBus[] = [];
  const busWith = (prefix: string): EventBus => {
    const bus = rabbitmqBus({ url, log, backoffMs: 1, prefix });
    buses.push(bus);
    return bus;
  };
  const listening = async (prefix: string, handle: Inbox["handle"]) => {
    const buried: { message: unknown; error: string }[] = [];
    await busWith(prefix).listen!("user", {
      handle,
      bury: async (message, error) => void buried.push({ message, error }),
    });
    return buried;
  };
  beforeAll(() => raw.onConnect());
  afterAll(async () => {
    await Promise.all(buses.map((bus) => bus.close!()));
    await raw.close();
  });

  test("keeps events for a consumer that has never run", async () => {
    const prefix = newPrefix();
    await publish(busWith(prefix), eventOf("early"));
    const seen: unknown[] = [];
    await listening(prefix, async (event) => void seen.push(event));
    await until(() => seen.length === 1);
    expect(seen).toMatchObject([{ subject: "early" }]);
  });

  test("does not call published what no queue takes", async () => {
    const prefix = newPrefix();
    const bus = busWith(prefix);
    await publish(bus, eventOf("first"));
    await raw.queueDelete(`${prefix}.user`);
    const lost = toUser(eventOf("lost"));
    const failures = await bus.publish([lost]);
    expect(failures).toMatchObject([{ delivery: lost, kind: "away" }]);
    expect(String(failures[0]!.error)).toContain("no queue takes");
  });

  test("has the queues of the design: quorum, with a limit and a dead-letter exchange", async () => {
    const prefix = newPrefix();
    await publish(busWith(prefix), eventOf("any"));
    const declare = (more: object) =>
      raw.queueDeclare({
        queue: `${prefix}.user`,
        durable: true,
        arguments: { "x-queue-type": "quorum", ...more },
      });
    await expect(declare({})).rejects.toThrow("PRECONDITION");
    await declare({
      "x-delivery-limit": attemptsMax - 1,
      "x-dead-letter-exchange": `${prefix}.dead`,
      "x-dead-letter-routing-key": "user",
      "x-dead-letter-strategy": "at-least-once",
      "x-overflow": "reject-publish",
    });
  });

  test("gives a message to the dead letters that kills whoever takes it", async () => {
    const prefix = newPrefix();
    await publish(busWith(prefix), eventOf("killer"));
    let taken = 0;
    // what is left unanswered by a process that dies comes back, like this
    const queue = `${prefix}.user`;
    const options = { queue, queueOptions: { passive: true }, qos: { prefetchCount: 1 } };
    const dying = raw.createConsumer(options, () => {
      taken++;
      return ConsumerStatus.REQUEUE;
    });
    dying.on("error", () => {});
    await until(() => taken === attemptsMax);
    await Bun.sleep(50);
    await dying.close();
    const buried = await listening(prefix, async () => {});
    await until(() => buried.length === 1);
    expect(buried).toMatchObject([
      { message: { subject: "killer" }, error: "given up by RabbitMQ: delivery_limit" },
    ]);
    expect(taken).toBe(attemptsMax);
  });

  test("does not count what a consumer could not handle for want of a neighbour", async () => {
    const prefix = newPrefix();
    let calls = 0;
    const buried = await listening(prefix, async () => {
      if (++calls <= 3 * attemptsMax) throw fault("unavailable", "SERVICE_UNAVAILABLE", "away");
    });
    await publish(busWith(prefix), eventOf("patient"));
    await until(() => calls > 3 * attemptsMax);
    expect(buried).toEqual([]);
  });

  test("keeps the last reason of a consumer that refuses a message 10 times", async () => {
    const prefix = newPrefix();
    let calls = 0;
    const buried = await listening(prefix, async () => {
      throw new Error(`refused ${++calls}`);
    });
    await publish(busWith(prefix), eventOf("refused"));
    await until(() => buried.length > 0);
    expect(buried).toMatchObject([{ message: { subject: "refused" }, error: `refused ${attemptsMax}` }]);
    expect(calls).toBe(attemptsMax);
  });

  test("keeps a message that is no event at all, as it came", async () => {
    const prefix = newPrefix();
    const buried = await listening(prefix, async () => {
      throw fault("invalid_argument", "VALIDATION", "is no event");
    });
    await publish(busWith(prefix), eventOf("declares"));
    await until(() => buried.length === 1);
    const publisher = raw.createPublisher({ confirm: true });
    const envelope = { exchange: `${prefix}.events`, routingKey: "user" };
    await publisher.send(envelope, Buffer.from("\u0000not JSON"));
    await publisher.close();
    await until(() => buried.length === 2);
    expect(buried[1]).toMatchObject({ message: "\u0000not JSON" });
  });

  test("takes messages again that their consumer held when its connection died", async () => {
    const prefix = newPrefix();
    const proxy = await tcpProxy(Number(new URL(url).port || 5672));
    const through = new URL(url);
    through.host = `127.0.0.1:${proxy.port}`;
    let calls = 0;
    const bus = rabbitmqBus({ url: through.href, log, backoffMs: 1, prefix });
    buses.push(bus);
    await bus.listen!("user", {
      bury: async () => {},
      async handle() {
        if (++calls === 1) await proxy.cut().then(() => Bun.sleep(20));
      },
    });
    await publish(busWith(prefix), eventOf("held"));
    await until(() => calls === 1);
    await proxy.restore();
    await until(() => calls === 2);
    await proxy.stop();
  });
}
