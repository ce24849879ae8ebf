import journal from "@mall/db/migrations/auth/meta/_journal.json";
import common from "@mall/gen/common-passwords.json";
import openapi from "@mall/gen/openapi/auth.json";
import permissions from "@mall/gen/permissions.json";
import { createApp, createKernel, type MallApp, type Resources } from "@mall/kernel/app";
import { parseEnv } from "@mall/kernel/env";
import type { Id } from "@mall/kernel/id";
import { accessTokenVerifier } from "@mall/kernel/identity/access-token";
import { mailerOf } from "@mall/kernel/mailer/settings";
import { createAdmin } from "./application/create-admin";
import { eraseAccount } from "./application/erase-account";
import { findUser } from "./application/find-user";
import { getPolicy } from "./application/get-policy";
import { listPolicyHistory } from "./application/list-policy-history";
import { listSigningKeys, type ShownKey } from "./application/list-signing-keys";
import { rollbackPolicy } from "./application/rollback-policy";
import { cleanSigningKeys, type Rotation, rotateSigningKeys } from "./application/rotate-signing-keys";
import { resealSigningKeys, signingKeys } from "./application/signing-keys";
import { verifyApiKey } from "./application/verify-api-key";
import { configStoreOf } from "./config/settings";
import { cleanAttempts } from "./db/attempts";
import { cleanResets } from "./db/passwords";
import { clearAccounts, peopleOf } from "./db/people";
import type { PolicyRevision } from "./db/policy-history";
import { cleanRevocations } from "./db/revocations";
import { cleanSessions } from "./db/sessions";
import type { Deps } from "./deps";
import { authEnv } from "./env";
import { commonPasswords } from "./password/common";
import { limitedPasswords } from "./password/limited";
import type { Passwords } from "./password/port";
import { accountRpc } from "./transport/account-rpc";
import { apiKeyRpc, verifiedToMessage } from "./transport/api-key-rpc";
import { configRpc } from "./transport/config-rpc";
import { emailRpc } from "./transport/email-rpc";
import { authConsumers } from "./transport/events";
import { jwksRoute } from "./transport/jwks";
import { passwordRpc } from "./transport/password-rpc";
import { newsToMessage } from "./transport/policy-codec";
import { policyRpc } from "./transport/policy-rpc";
import { authRpc } from "./transport/rpc";
import { sessionRpc } from "./transport/session-rpc";

function compose(resources: Resources, passwords: Passwords) {
  const env = parseEnv(authEnv, resources.env);
  const kernel = createKernel("auth", resources, env);
  const { db, clock, newId, announce, secrets, audit, settings } = kernel;
  const deps: Deps = {
    db,
    clock,
    newId,
    announce,
    secrets,
    audit,
    settings,
    ...configStoreOf(env, resources.db, kernel),
    people: peopleOf(kernel.personal),
    passwords: limitedPasswords(passwords, resources.background),
    isCommonPassword: commonPasswords(common),
    mailer: mailerOf(env),
    verifyAccessToken: accessTokenVerifier({
      fetchAuth: (request) => resources.registry.fetch("auth")(request),
      clock,
      background: resources.background,
    }).verify,
    keys: signingKeys({ db, clock, seal: kernel.seal("signing-keys") }),
    permissions,
    accessTtlSeconds: env.ACCESS_TOKEN_TTL_SECONDS,
    refreshTtlSeconds: env.REFRESH_TOKEN_TTL_SECONDS,
  };
  return { kernel, deps };
}

/** Resources on which auth finds its own public keys in itself: no network, and no binding of a Worker to itself. */
function withOwnKeys(resources: Resources, own: () => MallApp): Resources {
  const { registry } = resources;
  const fetch: typeof registry.fetch = (service) =>
    service === "auth" ? (request) => own().fetch(request) : registry.fetch(service);
  return { ...resources, registry: { transport: (service) => registry.transport(service), fetch } };
}

/** The auth service on a host's resources and the password driver of its runtime. */
export function createAuthService(resources: Resources, passwords: Passwords): MallApp {
  const { kernel, deps } = compose(
    withOwnKeys(resources, () => app),
    passwords,
  );
  const app = createApp(kernel, {
    forget: async (tx, subject) => {
      if (subject.startsWith("usr_")) await eraseAccount(deps)(tx, subject as Id<"usr">);
    },
    clear: [clearAccounts],
    reseal: () => resealSigningKeys(kernel, kernel.seal("signing-keys")),
    implementations: [
      ...[authRpc(deps), sessionRpc(deps), passwordRpc(deps), emailRpc(deps), accountRpc(deps)],
      ...[policyRpc(deps), apiKeyRpc(deps), configRpc(deps)],
    ],
    sources: {
      policy: async (known) => newsToMessage(await getPolicy(deps)(known)),
      apiKey: async (key) => verifiedToMessage(await verifyApiKey(deps)(key)),
    },
    consumers: authConsumers(deps),
    migrations: journal.entries.length,
    openapi,
    routes: jwksRoute(deps.keys),
    async sweep() {
      await cleanSessions(deps.db, deps.clock());
      await cleanRevocations(deps.db, deps.clock());
      await cleanResets(deps.db, deps.clock());
      await cleanAttempts(deps.db, deps.clock());
      await cleanSigningKeys(deps);
    },
  });
  return app;
}

/** What the command line does in the auth service. */
export interface AuthCommands {
  /** Creates or promotes an administrator; the password is the new account's, absent for one that existed. */
  createAdmin(email: string): Promise<{ password?: string }>;
  /** Who has an address. */
  findUser(email: string): Promise<Id<"usr"> | undefined>;
  rotateSigningKeys(): Promise<Rotation>;
  listSigningKeys(): Promise<ShownKey[]>;
  /** Every change of the policy, newest first. */
  listPolicyHistory(): AsyncIterable<PolicyRevision>;
  /** Makes roles and rules what they were as of a change; rejects with REVISION_NOT_FOUND. */
  rollbackPolicy(to: bigint): Promise<void>;
}

/** Commands that run in the process of the command line, whose events a running auth service publishes. */
export function createAuthCommands(resources: Resources, passwords: Passwords): AuthCommands {
  const { kernel, deps } = compose(resources, passwords);
  return {
    createAdmin: createAdmin({ ...deps, db: resources.db }),
    findUser: findUser(deps),
    rotateSigningKeys: rotateSigningKeys({ ...deps, sealKeys: kernel.seal("signing-keys") }),
    listSigningKeys: listSigningKeys(deps),
    listPolicyHistory: listPolicyHistory(deps),
    rollbackPolicy: rollbackPolicy(deps),
  };
}
