import { createKernel } from "../app";
import { outboxOf } from "../bus/outbox";
import { rabbitmqBus } from "../bus/rabbitmq";
import { createRelay } from "../bus/relay";
import { rabbitmqUrl } from "../bus/settings";
import { baseEnv, parseEnv } from "../env";
import { bunResources } from "../host/bun";
import { staticRegistry } from "../registry/static";
import type { ServiceName } from "../topology";

/*
 * A process of the auth service that publishes what is due and is killed before it can note it. Run by the contract of
 * the event bus; its environment names the bus, DATABASE_URL and LISTENERS.
 */
const { env } = process;
const registry = staticRegistry(env);
const parsed = parseEnv(baseEnv, env);
const url = rabbitmqUrl(parsed);
const ownBus = url ? rabbitmqBus({ url, log: () => {}, backoffMs: 1, prefix: env.TEST_PREFIX }) : undefined;
const resources = bunResources("auth", env, registry, ownBus);
const { bus, db, clock, log } = createKernel("auth", resources, parsed);
const type = "mall.auth.v1.UserRegistered";
const outbox = outboxOf("auth", clock, { listeners: { [type]: env.LISTENERS!.split(",") as ServiceName[] } });
const relay = createRelay({
  db,
  outbox: { ...outbox, settle: async () => process.kill(process.pid, "SIGKILL") as never },
  bus,
  clock,
  log,
  backoffMs: 1,
});
await relay();
