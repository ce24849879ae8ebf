import type { DescService, MessageInitShape } from "@bufbuild/protobuf";
import { type Client, type ConnectRouter, createClient, createRouterTransport } from "@connectrpc/connect";
import { type GetPolicyResponseSchema, PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { MallApp, Resources } from "../app";
import { type AuditEvent, type AuditFilter, listAudit } from "../audit/list";
import { type Db, openDb } from "../db/client";
import type { EnvSource } from "../env";
import { idGenerator } from "../id";
import { accessTokenAudience, accessTokenIssuer } from "../identity/access-token";
import { type RemoteClient, setClient } from "../identity/client";
import { forwardScope, rpcScope, serviceTokens } from "../identity/service-token";
import { inProcessRegistry } from "../registry/in-process";
import { type CallerName, type ServiceName, serviceNames } from "../topology";
import { testDatabase } from "./database";

/** A clock that stands still until it is moved. */
export function testClock(start = new Date("2026-01-01T00:00:00Z")): {
  (): Date;
  advance(seconds: number): void;
} {
  let nowMs = start.getTime();
  const clock = () => new Date(nowMs);
  const advance = (seconds: number) => {
    nowMs += seconds * 1000;
  };
  return Object.assign(clock, { advance });
}

/** Who a test client is. */
export interface As {
  user?: { id: string; roles?: string[] };
  service?: CallerName;
  cartSecret?: string;
  orderSecret?: string;
  idempotencyKey?: string;
  /** Where the caller comes from, as the gateway tells it. */
  client?: RemoteClient;
}

export interface Harness {
  app: MallApp;
  db: Db;
  /** The same database as its owner, who may do what the service's role may not. */
  ownerUrl: string;
  clock: ReturnType<typeof testClock>;
  newId: ReturnType<typeof idGenerator>;
  /** A client of the service through its gate and interceptors. */
  client<S extends DescService>(desc: S, as?: As): Client<S>;
  /** Headers of a caller, for requests to app.fetch; a service has to say what its token is for. */
  headers(as: As, scope?: string): Promise<Headers>;
  /** Events of the service's audit log, newest first. */
  audit(filter?: Partial<AuditFilter>): Promise<AuditEvent[]>;
  stop(): Promise<void>;
}

/** The master key of services under test. */
export const masterKey = "test-master-key-test-master-key-0123456789";

async function fakeAuth(clock: () => Date) {
  const { publicKey, privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
  const jwk = { ...(await exportJWK(publicKey)), kid: "test", alg: "EdDSA", use: "sig" };
  return {
    jwks: () => Response.json({ keys: [jwk] }),
    token: (user: NonNullable<As["user"]>) => {
      const now = Math.floor(clock().getTime() / 1000);
      return new SignJWT({ sid: "ses_00000000000000000000000000", roles: user.roles ?? ["customer"], ver: 1 })
        .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: "test" })
        .setSubject(user.id)
        .setIssuer(accessTokenIssuer)
        .setAudience(accessTokenAudience)
        .setIssuedAt(now)
        .setExpirationTime(now + 900)
        .setJti(crypto.randomUUID())
        .sign(privateKey);
    },
  };
}

/**
 * One service on a database of its own, with a clock that stands still, an auth that signs any token, and neighbours
 * that the test plays: `neighbours` registers fake implementations of the services it calls.
 */
export async function harness(
  name: ServiceName,
  create: (resources: Resources) => MallApp,
  options: {
    neighbours?: (router: ConnectRouter) => void;
    /** What auth answers the gate; a policy without roles and rules when absent. */
    policy?: () => MessageInitShape<typeof GetPolicyResponseSchema>;
    env?: EnvSource;
  } = {},
): Promise<Harness> {
  const clock = testClock();
  const database = await testDatabase();
  const db = openDb({ url: database.url, role: `mall_${name}`, max: 5 });
  const auth = await fakeAuth(clock);
  const registry = inProcessRegistry();
  const transport = createRouterTransport((router) => {
    options.neighbours?.(router);
    router.rpc(PolicyService.method.getPolicy, () => options.policy?.() ?? { policy: {} });
  });
  for (const other of serviceNames) {
    if (other !== name) registry.add(other, { fetch: async () => auth.jwks(), transport });
  }
  const env = { MALL_ENV: "test", MALL_MASTER_KEY: masterKey, LOG_LEVEL: "silent", ...options.env };
  const app = create({ env, db, registry, clock, background: () => {} });
  await app.start();
  registry.add(name, { fetch: app.fetch, transport: app.rpc.transport });
  const headers = async (as: As, scope = forwardScope) => {
    const header = new Headers();
    if (as.user) header.set("authorization", `Bearer ${await auth.token(as.user)}`);
    const service = as.service ?? (as.client ? "gateway" : undefined);
    if (service)
      header.set("x-service-token", await serviceTokens(masterKey, service, clock).tokenFor(name, scope));
    setClient(header, as.client ?? {});
    if (as.cartSecret) header.set("x-cart-secret", as.cartSecret);
    if (as.orderSecret) header.set("x-order-secret", as.orderSecret);
    if (as.idempotencyKey) header.set("idempotency-key", as.idempotencyKey);
    return header;
  };
  return {
    app,
    db,
    ownerUrl: database.url,
    clock,
    newId: idGenerator(clock),
    headers,
    client: (desc, as = {}) =>
      createClient(desc, {
        stream: app.rpc.transport.stream,
        unary: async (method, signal, timeoutMs, header, input, values) => {
          const merged = await headers(as, as.service && rpcScope(method));
          new Headers(header).forEach((value, key) => void merged.set(key, value));
          return app.rpc.transport.unary(method, signal, timeoutMs, merged, input, values);
        },
      }),
    audit: (filter) => listAudit(name, masterKey, db, { limit: 100, ...filter }),
    async stop() {
      await db.close();
      await database.drop();
    },
  };
}
