import { issueTokens } from "@mall/auth/application/issue-tokens";
import { signingKeys } from "@mall/auth/application/signing-keys";
import { revokeTokensOfUser } from "@mall/auth/db/revocations";
import { derivedSecrets } from "@mall/kernel/crypto/derive";
import { sealer } from "@mall/kernel/crypto/seal";
import { openDb } from "@mall/kernel/db/client";
import { baseEnv, parseEnv } from "@mall/kernel/env";
import { serviceKeys, serviceTokens } from "@mall/kernel/identity/service-token";
import { type Sign, signerOf } from "@mall/kernel/testing/forgery";
import type { CallerName, ServiceName } from "@mall/kernel/topology";
import { generateKeyPair } from "jose";
import { buildMall } from "../mall";
import { newAdmin, newApiKey, newUserWith } from "./command";
import { type Host, host } from "./host";
import { newUser, type Options, rest, unknownId } from "./shop";

const { MALL_MASTER_KEY } = parseEnv(baseEnv, {});

/** The signing keys of the mall under test. */
const keysOf = ({ databaseUrl }: Host, clock: () => Date) => {
  const db = openDb({ url: databaseUrl, max: 1 });
  return { db, keys: signingKeys({ db, clock, seal: sealer(MALL_MASTER_KEY, "auth/signing-keys") }) };
};

/** What signs and what verifies a kind of token. */
export interface Pair {
  sign: Sign;
  publicJwk: JsonWebKey;
}

/** The key that signs access tokens of the mall under test. */
export async function accessPair(): Promise<Pair> {
  const { db, keys } = keysOf(await host(), () => new Date());
  const { kid, privateKey } = await keys.current();
  const publicJwk = (await keys.published()).find((jwk) => jwk.kid === kid) as JsonWebKey;
  await db.close();
  return { sign: signerOf(privateKey), publicJwk };
}

/** The key that signs a service's tokens. */
export async function servicePair(caller: CallerName): Promise<Pair> {
  const [pair] = await serviceKeys(MALL_MASTER_KEY, caller);
  return {
    sign: signerOf(pair!.signKey),
    publicJwk: await crypto.subtle.exportKey("jwk", pair!.verifyKey),
  };
}

/** Access tokens of one user: one that expired a second ago, and a fresh one under another key of the same name. */
async function brokenTokens(userId: `usr_${string}`): Promise<{ expired: string; forged: string }> {
  const ttl = 900;
  const clock = () => new Date();
  const past = () => new Date(Date.now() - (ttl + 1) * 1000);
  const { db, keys } = keysOf(await host(), clock);
  const key = await keys.current();
  await db.close();
  const secrets = derivedSecrets(MALL_MASTER_KEY);
  const holder = {
    id: "ses_00000000000000000000000000",
    generation: 1,
    userId,
    roles: ["customer", "admin"],
    tokenVersion: 1,
  } as const;
  const sign = async (at: () => Date, privateKey: CryptoKey) => {
    const deps = { clock: at, secrets, accessTtlSeconds: ttl };
    const session = { ...holder, roles: [...holder.roles] };
    return (await issueTokens(deps, { ...key, privateKey }, session)).accessToken;
  };
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
  return { expired: await sign(past, key.privateKey), forged: await sign(clock, privateKey) };
}

/** Tokens that were good when they were issued: of a user whose roles changed since, who signed out, who is blocked. */
async function outdatedTokens(admin: Options): Promise<{ stale: string; ended: string; blocked: string }> {
  const [stale, ended, blocked] = [await newUser(), await newUser(), await newUser()];
  const owner = openDb({ url: (await host()).databaseUrl, max: 1 });
  await revokeTokensOfUser(owner, stale.id as `usr_${string}`, new Date());
  await owner.close();
  await rest("POST", "/v1/auth/logout", {}, ended);
  await rest("PUT", `/v1/policy/blocked-users/${blocked.id}`, {}, admin);
  // within a second every service knows
  await Bun.sleep(1_000);
  return { stale: stale.token, ended: ended.token, blocked: blocked.token };
}

/** Everybody who knocks at the mall's doors, by their tokens; a guest has none. */
export async function newCallers() {
  const customer = await newUser();
  const admin = await newAdmin();
  const staff = await newUserWith("customer", "staff");
  return {
    machine: (await newApiKey(staff, "stock.read")).key,
    people: {
      guest: undefined,
      customer: customer.token,
      staff: staff.token,
      admin: admin.token!,
    },
    ...(await brokenTokens(customer.id as `usr_${string}`)),
    ...(await outdatedTokens(admin)),
  };
}

/** The token by which a service knows its caller. */
export const serviceToken = (caller: CallerName, callee: ServiceName, scope: string): Promise<string> =>
  serviceTokens(MALL_MASTER_KEY, caller, () => new Date()).tokenFor(callee, scope);

/** Headers by which somebody claims to be an administrator, a service or a part of the network. */
export const claimedIdentity = (): Record<string, string> => {
  const admin = unknownId("usr");
  const service = "checkout";
  const spiffe = "spiffe://mall/service/checkout";
  return {
    ...{
      "x-user": admin,
      "x-user-id": admin,
      "x-user-roles": "admin",
      "x-roles": "admin",
      "x-role": "admin",
    },
    ...{ "x-auth-user": admin, "x-auth-request-user": admin, "x-authenticated-user": admin },
    ...{ "x-forwarded-user": admin, "x-forwarded-groups": "admin", "x-forwarded-email": "boss@example.com" },
    ...{
      "remote-user": admin,
      "x-remote-user": admin,
      "x-admin": "true",
      cookie: `user=${admin}; role=admin`,
    },
    ...{ "x-service": service, "x-service-name": service, "x-caller": service, "x-internal": "true" },
    ...{ "x-spiffe-id": spiffe, "x-forwarded-client-cert": `By=x;URI=${spiffe}`, "x-client-cert": spiffe },
    ...{ "x-ssl-client-s-dn": "CN=checkout", "x-ssl-client-verify": "SUCCESS", "x-peer": service },
    ...{ "x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", forwarded: "for=127.0.0.1" },
    ...{ "x-client-address": "127.0.0.1", "x-client-device": "checkout", "x-original-url": "/v1/policy" },
    ...{ "cf-access-authenticated-user-email": "boss@example.com", "x-mall-actor": "command" },
    ...{ "x-http-method-override": "GET", "proxy-authorization": "Basic YWRtaW46YWRtaW4=" },
  };
};

/** Sends requests to services past the gateway, as another service would. */
export interface Inside {
  send(service: ServiceName, caller: CallerName, path: string, body: string): Promise<Response>;
  /** Sends whatever a stranger who got inside might; where mutual TLS is on, one who has taken this caller's certificate. */
  sendAs(service: ServiceName, path: string, init: RequestInit, caller?: CallerName): Promise<Response>;
  close(): Promise<void>;
}

/**
 * The inside of the mall under test: its processes where each has an address, else the same services built here on the
 * same database, since one process and workerd show nothing but the gateway.
 */
export async function inside(): Promise<Inside> {
  const { services, network, databaseUrl } = await host();
  const built = services
    ? undefined
    : buildMall({ MALL_ENV: "test", LOG_LEVEL: "error", DATABASE_URL: databaseUrl });
  const sendAs: Inside["sendAs"] = async (service, path, init, caller = "gateway") => {
    const request = new Request(`${services?.[service] ?? `http://${service}`}${path}`, init);
    if (network) return network.send(caller, service, request);
    return built!.apps.find(({ name }) => name === service)!.fetch(request);
  };
  return {
    sendAs,
    async send(service, caller, path, body) {
      const token = await serviceToken(caller, service, path);
      const headers = { "content-type": "application/json", "x-service-token": token };
      return sendAs(service, path, { method: "POST", headers, body }, caller);
    },
    close: async () => built?.close(),
  };
}
