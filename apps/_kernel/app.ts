import type { DescService } from "@bufbuild/protobuf";
import type { Client, Interceptor } from "@connectrpc/connect";
import { sql } from "drizzle-orm";
import { Hono } from "hono";
import { type Consumer, consume } from "./bus/consume";
import { localBus } from "./bus/local";
import { type Announce, type CloudEvent, outboxOf } from "./bus/outbox";
import { relay } from "./bus/relay";
import { type DerivedSecrets, derivedSecrets } from "./crypto/derive";
import { type Seal, sealer } from "./crypto/seal";
import type { Db, Tx } from "./db/client";
import { idempotencyStore } from "./db/idempotency";
import type { BaseEnv, EnvSource } from "./env";
import { fault, invalid } from "./fault";
import { healthRoutes, problemAnswers, type Readiness } from "./http";
import { idGenerator, type NewId } from "./id";
import { accessTokenVerifier } from "./identity/access-token";
import { type ServiceTokens, serviceTokens } from "./identity/service-token";
import { errorFields, jsonLog, type Log } from "./log";
import type { Registry } from "./registry/port";
import { readBody } from "./rpc/body";
import { clientOf } from "./rpc/client";
import { requestGate } from "./rpc/gate";
import { type Answers, createAnswers } from "./rpc/idempotency";
import { restRoutes } from "./rpc/rest";
import { createRpcServer, type Implementation, type RpcServer } from "./rpc/server";
import { validation } from "./rpc/validate";
import { type ServiceName, serviceOfPackage, subscriptions } from "./topology";

/** What a host plugs into a service; nothing else differs between hosts. */
export interface Resources {
  env: EnvSource;
  db: Db;
  registry: Registry;
  clock: () => Date;
  /** Keeps work alive that goes on after the answer (waitUntil on Workers). */
  background(work: Promise<unknown>): void;
}

/** What the kernel gives the composition root of a service. */
export interface Kernel {
  readonly name: ServiceName;
  readonly db: Db;
  readonly clock: () => Date;
  readonly newId: NewId;
  readonly log: Log;
  readonly announce: Announce;
  readonly answers: Answers;
  readonly secrets: DerivedSecrets;
  readonly serviceTokens: ServiceTokens;
  /** Authenticated encryption for one purpose of this service. */
  seal(purpose: string): Seal;
  /** A client of a neighbour; the call table must allow it. */
  client<S extends DescService>(desc: S): Client<S>;
  /** Publishes due events now. */
  relay(): Promise<void>;
  readonly resources: Resources;
  readonly env: BaseEnv;
}

/** A service as its host sees it. */
export interface MallApp {
  readonly name: ServiceName;
  readonly rpc: RpcServer;
  fetch(request: Request): Promise<Response>;
  /** Does what is due: publishes events, finishes what crashed, deletes what expired. Called every SWEEP_INTERVAL_MS. */
  sweep(): Promise<void>;
}

/** A Db that runs `after` when a transaction which announced something has committed. */
function announcing(db: Db, dirty: WeakSet<Tx>, after: () => void): Db {
  return {
    get sql() {
      return db.sql;
    },
    get orm() {
      return db.orm;
    },
    close: () => db.close(),
    async tx(fn) {
      let last: Tx | undefined;
      const result = await db.tx((tx) => {
        last = tx;
        return fn(tx);
      });
      if (last && dirty.has(last)) after();
      return result;
    },
  };
}

/** Builds what every service needs from its host's resources and its environment. */
export function createKernel(name: ServiceName, resources: Resources, env: BaseEnv): Kernel {
  const { clock, registry } = resources;
  const log = jsonLog(name, env.LOG_LEVEL);
  const tokens = serviceTokens(env.MALL_MASTER_KEY, name, clock);
  const outbox = outboxOf(name, clock);
  const bus = localBus(registry, tokens);
  const dirty = new WeakSet<Tx>();
  const relayNow = () => relay(resources.db, outbox, bus, clock, log);
  const db = announcing(resources.db, dirty, () => {
    resources.background(relayNow().catch((error) => log("error", "relay failed", errorFields(error))));
  });
  return {
    name,
    db,
    clock,
    log,
    env,
    resources,
    newId: idGenerator(clock),
    serviceTokens: tokens,
    secrets: derivedSecrets(env.MALL_MASTER_KEY),
    seal: (purpose) => sealer(env.MALL_MASTER_KEY, `${name}/${purpose}`),
    client: (desc) => clientOf(desc, registry, tokens, clock),
    relay: relayNow,
    async announce(tx, ...events) {
      await outbox.announce(tx, ...events);
      if (events.some(({ desc }) => subscriptions[desc.typeName])) dirty.add(tx);
    },
    answers: createAnswers({
      db,
      store: idempotencyStore(name),
      seal: sealer(env.MALL_MASTER_KEY, `${name}/idempotency`),
      clock,
      ttlSeconds: env.IDEMPOTENCY_TTL_SECONDS,
      log,
    }),
  };
}

export interface AppParts {
  implementations: readonly Implementation[];
  consumers?: readonly Consumer[];
  /** Number of migrations this code needs; fewer applied ones mean not ready. */
  migrations: number;
  /** OpenAPI document of the service. */
  openapi: object;
  /** Routes beside the contract, such as the public keys. */
  routes?: (app: Hono) => void;
  /** What the service itself has to do from time to time. */
  sweep?: () => Promise<void>;
  interceptors?: readonly Interceptor[];
}

/** Whether the database answers and is migrated. */
async function readiness(kernel: Kernel, migrations: number): Promise<Readiness> {
  try {
    const rows = await kernel.db.orm.execute<{ n: number }>(
      sql`select count(*)::int as n from migrations.${sql.identifier(kernel.name)}`,
    );
    const pending = migrations - Number(rows[0]!.n);
    return {
      ready: pending <= 0,
      checks: { database: "ok", migrations: pending <= 0 ? "ok" : `${pending} pending` },
    };
  } catch (error) {
    kernel.log("warn", "not ready", errorFields(error));
    return { ready: false, checks: { database: "unavailable" } };
  }
}

function parseEvent(body: Uint8Array): CloudEvent {
  try {
    return JSON.parse(new TextDecoder().decode(body)) as CloudEvent;
  } catch {
    throw invalid([{ pointer: "#", detail: "is not JSON" }]);
  }
}

/** Receives the events this service listens to from other services of the mall. */
function eventRoute(app: Hono, kernel: Kernel, consumers: readonly Consumer[]): void {
  const handle = consume(kernel.name, consumers, kernel.db, kernel.clock);
  app.post("/events", async (c) => {
    const token = c.req.header("x-service-token");
    if (!token)
      throw fault("unauthenticated", "UNAUTHENTICATED", "Events come from services of the mall only.");
    const caller = await kernel.serviceTokens.callerOf(token, "event");
    const body = await readBody(c.req.raw, 1024 * 1024);
    const event = parseEvent(body);
    if (serviceOfPackage(event.type) !== caller)
      throw fault("permission_denied", "FORBIDDEN", "This event is not yours.");
    await handle(event);
    return c.body(null, 204);
  });
}

/** Puts a service together: Connect, gRPC-Web, REST, events, health and documents behind one fetch. */
export function createApp(kernel: Kernel, parts: AppParts): MallApp {
  const { resources, log } = kernel;
  const verifyAccessToken = accessTokenVerifier(
    (request) => resources.registry.fetch("auth")(request),
    kernel.clock,
  );
  const rpc = createRpcServer({
    implementations: parts.implementations,
    gate: requestGate({ verifyAccessToken, serviceTokens: kernel.serviceTokens, clock: kernel.clock }),
    interceptors: [validation, kernel.answers.interceptor, ...(parts.interceptors ?? [])],
    log,
  });
  const app = new Hono();
  healthRoutes(app, () => readiness(kernel, parts.migrations));
  app.get("/openapi.json", (c) => c.json(parts.openapi));
  parts.routes?.(app);
  if (parts.consumers) eventRoute(app, kernel, parts.consumers);
  app.route("/", restRoutes(rpc));
  problemAnswers(app, log);
  return {
    name: kernel.name,
    rpc,
    fetch: async (request) => rpc.fetch(request) ?? app.fetch(request),
    async sweep() {
      await kernel.relay();
      await parts.sweep?.();
      await kernel.answers.clean();
    },
  };
}
