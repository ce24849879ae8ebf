import type { DescMethod } from "@bufbuild/protobuf";
import { decodeProtectedHeader, jwtVerify, SignJWT } from "jose";
import { deriveKeys } from "../crypto/derive";
import { fault } from "../fault";
import {
  type CallerName,
  calls,
  mayCall,
  type ServiceName,
  serviceOfPackage,
  services,
  subscriptions,
} from "../topology";
import { currentPeer } from "./peer";
import { isOfLife, isTokenSized } from "./token-limits";

const ttlSeconds = 60;
const pkcs8Ed25519 = Buffer.from("302e020100300506032b657004220420", "hex");

async function keyPair(seed: Uint8Array) {
  const pkcs8 = new Uint8Array(Buffer.concat([pkcs8Ed25519, seed]));
  const signKey = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"]);
  const { x } = (await crypto.subtle.exportKey("jwk", signKey)) as JsonWebKey;
  const verifyKey = await crypto.subtle.importKey(
    "jwk",
    { kty: "OKP", crv: "Ed25519", x: x! },
    "Ed25519",
    true,
    ["verify"],
  );
  return { signKey, verifyKey };
}

/** The keys of a caller, one a master key, newest first. */
export const serviceKeys = (masterKey: string, caller: CallerName) =>
  Promise.all(deriveKeys(masterKey, `service-token/${caller}`).map(keyPair));

/** The scope of a token that delivers events. */
export const eventScope = "/events";

/** The scope of the gateway's token, with which it is nobody but tells of its client: the request names the RPC. */
export const forwardScope = "forward";

/** The scope of a token for one RPC: its path, as in `/mall.order.v1.OrderService/CreateOrder`. */
export const rpcScope = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

/**
 * Short EdDSA JWTs (iss caller, aud callee, scope, 60 s) by which services know each other; sent as X-Service-Token. A
 * token is good for one RPC, or for events.
 */
export interface ServiceTokens {
  /** A token of this process for a callee and a scope; made anew when the last one is half used up. */
  tokenFor(callee: ServiceName, scope: string): Promise<string>;
  /**
   * The caller that a token names which is presented here for a scope. Fault UNAUTHENTICATED: not ours, not for us, for
   * something else, too old, or of a service that neither the call table nor, for events, a subscription lets reach us,
   * or of another service than the certificate of the connection.
   */
  callerOf(token: string, scope: string): Promise<CallerName>;
}

/** What a token said that was accepted before. */
interface Accepted {
  caller: CallerName;
  scope: string;
  expiresAtMs: number;
}

/** Event type → who listens to it. */
type Listeners = Readonly<Record<string, readonly ServiceName[]>>;

/** Whether `self` listens to an event of the caller. */
const listensTo = (listeners: Listeners, self: CallerName, caller: CallerName): boolean =>
  Object.entries(listeners).some(
    ([type, to]) => serviceOfPackage(type) === caller && to.some((name) => name === self),
  );

/**
 * Service tokens with one Ed25519 key a caller, derived from the master key. `self` signs and is the audience it
 * accepts; a caller that the call table does not allow is refused.
 */
export function serviceTokens(
  masterKey: string,
  self: CallerName,
  clock: () => Date,
  listeners: Listeners = subscriptions,
): ServiceTokens {
  const mayReach = ({ caller, scope }: Pick<Accepted, "caller" | "scope">, wanted: string): boolean => {
    // whoever has the token of another has not its certificate
    if (caller !== (currentPeer.getStore() ?? caller)) return false;
    if (scope === forwardScope) return caller === "gateway" && wanted !== eventScope;
    if (scope !== wanted) return false;
    return wanted === eventScope
      ? listensTo(listeners, self, caller)
      : self in services && mayCall(caller, self as ServiceName);
  };
  const keys = new Map<CallerName, Awaited<ReturnType<typeof keyPair>>[]>();
  const keysOf = async (caller: CallerName) => {
    const found = keys.get(caller) ?? (await serviceKeys(masterKey, caller));
    keys.set(caller, found);
    return found;
  };
  const issued = new Map<string, { token: string; renewAtMs: number }>();
  const accepted = new Map<string, Accepted>();
  const refuse = () => fault("unauthenticated", "UNAUTHENTICATED", "The service token is not valid.");
  return {
    async tokenFor(callee, scope) {
      const nowMs = clock().getTime();
      const last = issued.get(`${callee} ${scope}`);
      if (last && last.renewAtMs > nowMs) return last.token;
      const [newest] = await keysOf(self);
      const now = Math.floor(nowMs / 1000);
      const token = await new SignJWT({ scope })
        .setProtectedHeader({ alg: "EdDSA", typ: "svc+jwt", kid: self })
        .setIssuer(self)
        .setAudience(callee)
        .setIssuedAt(now)
        .setExpirationTime(now + ttlSeconds)
        .sign(newest!.signKey);
      issued.set(`${callee} ${scope}`, { token, renewAtMs: nowMs + (ttlSeconds * 1000) / 2 });
      return token;
    },
    async callerOf(token, wanted) {
      const nowMs = clock().getTime();
      const known = accepted.get(token);
      if (known && known.expiresAtMs > nowMs && mayReach(known, wanted)) return known.caller;
      try {
        if (!isTokenSized(token)) throw refuse();
        const { kid } = decodeProtectedHeader(token);
        if (typeof kid !== "string" || !Object.hasOwn(calls, kid)) throw refuse();
        const options = {
          algorithms: ["EdDSA"],
          typ: "svc+jwt",
          audience: self,
          requiredClaims: ["iss", "iat", "exp", "scope"],
          currentDate: clock(),
        };
        const pairs = await keysOf(kid as CallerName);
        const { payload, protectedHeader } = await Promise.any(
          pairs.map(({ verifyKey }) => jwtVerify(token, verifyKey, options)),
        );
        const caller = payload.iss as CallerName;
        const scope = payload.scope as string;
        // iss must be the key's own name, or one service could speak for another
        if (caller !== protectedHeader.kid || !mayReach({ caller, scope }, wanted)) throw refuse();
        if (payload.aud !== self || !isOfLife(payload, ttlSeconds, clock())) throw refuse();
        if (accepted.size > 1000) accepted.clear();
        accepted.set(token, { caller, scope, expiresAtMs: payload.exp! * 1000 });
        return caller;
      } catch {
        throw refuse();
      }
    },
  };
}
