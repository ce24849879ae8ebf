import { AsyncLocalStorage } from "node:async_hooks";
import type postgres from "postgres";
import type { MallApp, Resources } from "../app";
import { connect, createDb, type Db } from "../db/client";
import { errorFields, jsonLog } from "../log";
import { bindingsRegistry } from "../registry/bindings";
import type { Registry } from "../registry/port";
import type { ServiceName } from "../topology";
import { type ExecutionContext, textsOf, type WorkerEnv } from "./bindings";

interface Scope {
  sql?: postgres.Sql;
  background: Promise<unknown>[];
}

const scopes = new AsyncLocalStorage<Scope>();

/** Waits for background work, which may add more, then closes the request's connections. */
async function drain(scope: Scope): Promise<void> {
  for (let done = 0; done < scope.background.length; ) {
    const upTo = scope.background.length;
    await Promise.allSettled(scope.background.slice(done));
    done = upTo;
  }
  await scope.sql?.end({ timeout: 5 });
}

/**
 * Runs one request with connections of its own: workerd forbids I/O on behalf of another request, so a pool in module
 * scope fails now and then. They are opened at the first statement and closed after all background work. A request
 * whose client goes away is still worked on to its end, as on Bun: what it holds for others would never be given back.
 */
export function withScope<T>(context: ExecutionContext, run: () => Promise<T>): Promise<T> {
  const scope: Scope = { background: [] };
  const answer = scopes.run(scope, run);
  context.waitUntil(
    answer.then(
      () => drain(scope),
      () => drain(scope),
    ),
  );
  return answer;
}

function scopeOf(): Scope {
  const scope = scopes.getStore();
  if (!scope) throw new Error("database or background work outside a request");
  return scope;
}

/** Two connections a request at most: Hyperdrive pools behind them, and its pool cannot take a role from us. */
function requestDb(name: ServiceName, env: WorkerEnv): Db {
  const open = () => {
    if (!env.DB) throw new Error("no database: bind Hyperdrive as DB");
    const settings = env.DATABASE_SETTINGS === "startup" ? "startup" : "login";
    const applicationName = `mall-${name}-worker`;
    return connect({ url: env.DB.connectionString, role: `mall_${name}`, max: 2, applicationName, settings });
  };
  return createDb(
    () => (scopeOf().sql ??= open()),
    async () => {},
  );
}

function workerResources(name: ServiceName, env: WorkerEnv, registry: Registry): Resources {
  return {
    env: textsOf(env),
    db: requestDb(name, env),
    registry,
    clock: () => new Date(),
    background: (work) => void scopeOf().background.push(work),
  };
}

/**
 * A Worker of one service. The app is built once an isolate. `sweep` is no HTTP route: only Workers that bind this one
 * can call it, and the gateway's cron trigger does.
 */
export function workerOf(name: ServiceName, create: (resources: Resources) => MallApp) {
  let app: MallApp | undefined;
  let isStarted = false;
  const get = async (env: WorkerEnv): Promise<MallApp> => {
    app ??= create(workerResources(name, env, bindingsRegistry(env)));
    if (!isStarted) await app.start();
    isStarted = true;
    return app;
  };
  return {
    fetch: (request: Request, env: WorkerEnv, context: ExecutionContext): Promise<Response> =>
      withScope(context, async () => (await get(env)).fetch(request)),
    // workerd calls functions of an object over RPC only with exactly these three parameters
    sweep: (_event: unknown, env: WorkerEnv, context: ExecutionContext): Promise<void> =>
      withScope(context, async () => {
        const work = get(env).then((own) => own.sweep());
        await work.catch((error) => jsonLog(name, "info")("error", "sweep failed", errorFields(error)));
      }),
  };
}
