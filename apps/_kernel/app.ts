import type { DescService } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Client, ConnectError, type Interceptor } from "@connectrpc/connect";
import { ApiKeyService } from "@mall/gen/mall/auth/v1/keys_pb";
import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { Hono } from "hono";
import { type Audit, auditSeal, createAudit } from "./audit/record";
import { auditRefusals } from "./audit/refusal";
import { createSealer } from "./audit/sealer";
import { type Consumer, consume } from "./bus/consume";
import { deadLettersOf } from "./bus/dead-letters";
import { outboxLag } from "./bus/lag";
import { localBus } from "./bus/local";
import { type Announce, type EventRows, outboxOf } from "./bus/outbox";
import type { EventBus, Inbox } from "./bus/port";
import { qstashBus, qstashVerifier } from "./bus/qstash";
import { createRelay, type Relay } from "./bus/relay";
import { messageCleaner } from "./bus/retention";
import { localRoute, qstashRoutes, sweepRoute } from "./bus/routes";
import { qstashSettings } from "./bus/settings";
import { type DerivedSecrets, derivedSecrets } from "./crypto/derive";
import { type Seal, sealer } from "./crypto/seal";
import { uncancelled } from "./db/cancellation";
import type { Db, Tx } from "./db/client";
import { idempotencyStore } from "./db/idempotency";
import type { BaseEnv, EnvSource } from "./env";
import { codeName } from "./fault";
import { readiness } from "./health";
import { healthRoutes, problemAnswers } from "./http";
import { type Id, idGenerator, type NewId } from "./id";
import { accessTokenVerifier } from "./identity/access-token";
import { type AskApiKey, apiKeyVerifier } from "./identity/api-key";
import { type ServiceTokens, serviceTokens } from "./identity/service-token";
import { errorFields, jsonLog, type Log } from "./log";
import { labelled, type Metrics, processMetrics } from "./metrics";
import type { ClearTable } from "./personal/clear-rows";
import { type DataKeys, dataKeysOf } from "./personal/data-keys";
import { type Personal, personalData } from "./personal/personal";
import { type DataKeyWork, dataKeyWork } from "./personal/work";
import { cachedPolicy, type LoadPolicy, ownPolicy, policyTimeoutMs } from "./policy/source";
import type { Registry } from "./registry/port";
import { clientOf } from "./rpc/client";
import { currentRequest } from "./rpc/context";
import { requestGate } from "./rpc/gate";
import { type Answers, createAnswers } from "./rpc/idempotency";
import { limits } from "./rpc/limits";
import { restRoutes } from "./rpc/rest";
import { createRpcServer, type Implementation, type RpcServer } from "./rpc/server";
import { validation } from "./rpc/validate";
import { type LiveSettings, liveSettings } from "./settings/live";
import { eachMinute } from "./time";
import { type ServiceName, subscriptions } from "./topology";

/** What a host plugs into a service; nothing else differs between hosts. */
export interface Resources {
  env: EnvSource;
  db: Db;
  registry: Registry;
  clock: () => Date;
  /** A bus that not every host can have; without it the environment chooses one that is only fetch. */
  bus?: EventBus;
  /** Where the process counts; without it what is counted is lost. */
  metrics?: Metrics;
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
  /** Counts, each with the label of the service. */
  readonly metrics: Metrics;
  /** What operators have set, at most a second old while auth can be asked. */
  readonly settings: LiveSettings;
  readonly announce: Announce;
  /** Events for a statement that announces them itself; who listens gets them by the next scheduled relay. */
  readonly eventRows: EventRows;
  readonly answers: Answers;
  readonly audit: Audit;
  readonly secrets: DerivedSecrets;
  readonly personal: Personal;
  readonly dataKeys: DataKeys;
  readonly serviceTokens: ServiceTokens;
  /** Authenticated encryption for one purpose of this service. */
  seal(purpose: string): Seal;
  /** A client of a neighbour; the call table must allow it. */
  client<S extends DescService>(desc: S): Client<S>;
  /** Publishes due events now. */
  relay: Relay;
  readonly bus: EventBus;
  readonly resources: Resources;
  readonly env: BaseEnv;
}

/** A service as its host sees it. */
export interface MallApp {
  readonly name: ServiceName;
  readonly rpc: RpcServer;
  readonly dataKeys: DataKeyWork;
  /**
   * Must come before requests do. Rejects with a sentence when the master key is not the one that the data of this
   * service is sealed with; passes while the database cannot tell.
   */
  start(): Promise<void>;
  fetch(request: Request): Promise<Response>;
  /** Begins to receive events that the bus brings by itself; without it they come by requests only. */
  listen(): Promise<void>;
  /** Handles one event as if the bus had brought it: a second time it has no effect. Faults as its consumer has them. */
  handle(event: unknown): Promise<void>;
  /** What is done from time to time, each by itself: publishing events, finishing what crashed, deleting what expired. */
  readonly duties: readonly (() => Promise<unknown>)[];
  /** Does all of it now; rejects when a part of it failed, after the others are done. */
  sweep(): Promise<void>;
}

/** A Db that runs `after`, with who listens, when a transaction which announced something has committed. */
function announcing(
  db: Db,
  dirty: WeakMap<Tx, Set<ServiceName>>,
  after: (listeners: readonly ServiceName[]) => void,
): Db {
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
      const listeners = last && dirty.get(last);
      if (listeners) after([...listeners]);
      return result;
    },
  };
}

/** The bus that the environment names, of those that need nothing but fetch. */
function fetchBus(env: BaseEnv, registry: Registry, tokens: ServiceTokens): EventBus {
  const qstash = qstashSettings(env);
  if (qstash) return qstashBus(qstash);
  if (env.BUS === "local") return localBus(registry, tokens);
  throw new Error(`The environment is not complete:\n  BUS: this host cannot run ${env.BUS}`);
}

/** Builds what every service needs from its host's resources and its environment. */
export function createKernel(name: ServiceName, resources: Resources, env: BaseEnv): Kernel {
  const { clock, registry } = resources;
  const settings = liveSettings();
  const log = jsonLog(name, () => settings.get("log.level") ?? env.LOG_LEVEL);
  const tokens = serviceTokens(env.MALL_MASTER_KEY, name, clock);
  const bus = resources.bus ?? fetchBus(env, registry, tokens);
  const dataKeys = dataKeysOf(name, env.MALL_MASTER_KEY, clock);
  const outbox = outboxOf(name, clock, { canDelay: bus.canDelay });
  const dirty = new WeakMap<Tx, Set<ServiceName>>();
  const relay = createRelay({ db: resources.db, outbox, bus, clock, log, backoffMs: env.EVENT_BACKOFF_MS });
  const db = announcing(resources.db, dirty, (listeners) => {
    const relayed = uncancelled(() => relay(listeners));
    resources.background(relayed.catch((error) => log("error", "relay failed", errorFields(error))));
  });
  return {
    name,
    db,
    clock,
    log,
    metrics: labelled(resources.metrics ?? processMetrics(), { service: name }),
    settings,
    env,
    resources,
    newId: idGenerator(clock),
    serviceTokens: tokens,
    secrets: derivedSecrets(env.MALL_MASTER_KEY),
    dataKeys,
    personal: personalData(name, dataKeys),
    seal: (purpose) => sealer(env.MALL_MASTER_KEY, `${name}/${purpose}`),
    client: (desc) => clientOf(desc, registry, tokens, clock),
    relay,
    bus,
    async announce(tx, ...events) {
      await outbox.announce(tx, ...events);
      const listeners = events.flatMap(({ desc }) => subscriptions[desc.typeName] ?? []);
      if (listeners.length > 0) dirty.set(tx, new Set([...(dirty.get(tx) ?? []), ...listeners]));
    },
    eventRows: outbox.rows,
    answers: createAnswers({
      db,
      store: idempotencyStore(name),
      seal: sealer(env.MALL_MASTER_KEY, `${name}/idempotency`),
      clock,
      ttlSeconds: env.IDEMPOTENCY_TTL_SECONDS,
      log,
    }),
    audit: createAudit({
      service: name,
      db: resources.db,
      clock,
      seal: auditSeal(name, env.MALL_MASTER_KEY),
      background: (work) => resources.background(work),
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
  /** Tables that kept personal data in the clear once. */
  clear?: readonly ClearTable[];
  /** Seals by the newest master key what the service itself has sealed by one, beside its data keys. */
  reseal?: () => Promise<void>;
  /** Deletes what the service holds about a subject beside what is sealed with its key, when that is destroyed by command. */
  forget?: (tx: Tx, subject: Id) => Promise<void>;
  /** What the service itself has to do from time to time. */
  sweep?: () => Promise<void>;
  /** Sheds calls that are too many, before they have cost anything. */
  admission?: Interceptor;
  /** Given by auth alone: what the gates of all others ask it for. */
  sources?: AuthSources;
}

/** What auth knows and every gate needs. */
export interface AuthSources {
  policy: LoadPolicy;
  apiKey: AskApiKey;
}

/** Routes and inbox of a service: every way that events come in, and QStash's way to have it sweep. */
function receiving(
  app: Hono,
  kernel: Kernel,
  consumers: readonly Consumer[],
  sweep: () => Promise<void>,
): Inbox {
  const { name, db, clock, log } = kernel;
  const letters = deadLettersOf(name);
  const inbox: Inbox = {
    handle: consume(name, consumers, db, clock),
    async bury(message, error) {
      await letters.bury(db, name, message, error, clock());
      log("error", "event is a dead letter", { error, consumer: name });
    },
  };
  const qstash = qstashSettings(kernel.env);
  const verify = qstash && qstashVerifier(qstash);
  if (verify) sweepRoute(app, verify, sweep);
  if (consumers.length === 0) return inbox;
  localRoute(app, kernel.serviceTokens, inbox);
  if (verify) qstashRoutes(app, name, verify, inbox);
  return inbox;
}

/** Counts RPCs by the code they end with; what the gate refuses does not come this far. */
const countedRpcs =
  (metrics: Metrics): Interceptor =>
  (next) =>
  async (request) => {
    const counted = (code: string) =>
      metrics.count("mall_rpcs_total", { rpc: `${request.service.typeName}/${request.method.name}`, code });
    try {
      const response = await next(request);
      counted("ok");
      return response;
    } catch (error) {
      counted(codeName(ConnectError.from(error).code));
      throw error;
    }
  };

/** Shows how many events wait, asked whenever somebody looks. */
function watchOutbox({ name, db, clock, metrics }: Kernel): void {
  const ask = outboxLag(name);
  let asked: ReturnType<typeof ask> | undefined;
  // both are looked at together
  const waiting = () => {
    asked ??= ask(db, clock()).finally(() => {
      asked = undefined;
    });
    return asked;
  };
  metrics.gauge("mall_outbox_waiting", {}, async () => (await waiting()).count);
  metrics.gauge("mall_outbox_oldest_seconds", {}, async () => (await waiting()).oldestSeconds);
}

/** Runs all, and rejects with the first failure when the last has ended. */
async function runAll(works: readonly (() => Promise<unknown>)[]): Promise<void> {
  const results = await Promise.allSettled(works.map((work) => work()));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** The policy as it comes, with the settings that come along taken over. */
const taking =
  (settings: LiveSettings, load: LoadPolicy): LoadPolicy =>
  async (known) => {
    const answer = await load({ ...known, configRevision: settings.revision });
    if (answer.config) settings.apply(answer.config.revision, answer.config.values);
    return answer;
  };

/** What the gate asks auth for; auth answers itself. */
function gateSources({ client, clock, log, settings, resources }: Kernel, own: AuthSources | undefined) {
  if (own)
    return {
      policy: ownPolicy({ load: taking(settings, own.policy), log }),
      verifyApiKey: apiKeyVerifier(own.apiKey, clock),
      follow: () => {},
    };
  const [policies, keys] = [client(PolicyService), client(ApiKeyService)];
  const options = { timeoutMs: policyTimeoutMs };
  // for no request: it must not fail with the token or the deadline of one
  const forNone = <T>(run: () => T): T => uncancelled(() => currentRequest.run(undefined, run));
  const load: LoadPolicy = ({ revision, revocationsAt, configRevision }) =>
    forNone(() =>
      policies.getPolicy(
        {
          knownRevision: revision,
          knownRevocationsAt: revocationsAt && timestampFromDate(revocationsAt),
          knownConfigRevision: configRevision,
        },
        options,
      ),
    );
  const ask: AskApiKey = (key) => forNone(() => keys.verifyApiKey({ key }, options));
  const policy = cachedPolicy({
    ...{ load: taking(settings, load), clock, log },
    background: resources.background,
  });
  return {
    policy,
    verifyApiKey: apiKeyVerifier(ask, clock),
    follow: () => resources.background(Promise.resolve(policy())),
  };
}

/** Puts a service together: Connect, gRPC-Web, REST, events, health and documents behind one fetch. */
export function createApp(kernel: Kernel, parts: AppParts): MallApp {
  const { resources, log } = kernel;
  const tokens = accessTokenVerifier({
    fetchAuth: (request) => resources.registry.fetch("auth")(request, { isRepeatable: true }),
    clock: kernel.clock,
    background: resources.background,
  });
  const sources = gateSources(kernel, parts.sources);
  const rpc = createRpcServer({
    implementations: parts.implementations,
    gate: requestGate({
      verifyAccessToken: tokens.verify,
      serviceTokens: kernel.serviceTokens,
      clock: kernel.clock,
      audit: kernel.audit,
      ...sources,
    }),
    interceptors: [
      countedRpcs(kernel.metrics),
      validation,
      ...(parts.admission ? [parts.admission] : []),
      kernel.answers.interceptor,
      auditRefusals(kernel.audit),
    ],
    timeoutMs: () => kernel.settings.get("request.timeout-ms") ?? limits.timeoutMs,
    log,
  });
  watchOutbox(kernel);
  const app = new Hono();
  // auth itself has what all others need of it
  const identity = parts.sources ? undefined : { policy: sources.policy, hasKeys: tokens.hasKeys };
  healthRoutes(app, () => readiness(kernel, parts.migrations, identity));
  app.get("/openapi.json", (c) => c.json(parts.openapi));
  parts.routes?.(app);
  const own = parts.sweep;
  const work = dataKeyWork(kernel, parts);
  const clean = messageCleaner(kernel.name);
  const duties: (() => Promise<unknown>)[] = [
    () => kernel.relay(),
    async () => void (await sources.policy()), // so that one whom nobody asks follows, too
    createSealer(kernel.name, kernel.env.MALL_MASTER_KEY, kernel.db),
    ...(own ? [() => own()] : []),
    async () => void (await kernel.answers.clean()),
    eachMinute(kernel.clock, (now) => clean(kernel.db, now)),
    ...(parts.clear ? [eachMinute(kernel.clock, work.seal)] : []),
  ];
  const sweep = () => runAll(duties);
  const inbox = receiving(app, kernel, parts.consumers ?? [], sweep);
  app.route("/", restRoutes(rpc));
  problemAnswers(app, log);
  return {
    name: kernel.name,
    rpc,
    dataKeys: work,
    start: async () => void (await kernel.dataKeys.verify(kernel.db)),
    fetch: async (request) => rpc.fetch(request) ?? app.fetch(request),
    async listen() {
      if (parts.consumers) await kernel.bus.listen?.(kernel.name, inbox);
    },
    handle: inbox.handle,
    duties,
    sweep,
  };
}
