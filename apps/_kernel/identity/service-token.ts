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

/** Short EdDSA JWTs (iss caller, aud callee, 60 s) by which services know each other; sent as X-Service-Token. */
export interface ServiceTokens {
  /** A token of this process for a callee; made anew when the last one is half used up. */
  tokenFor(callee: ServiceName): Promise<string>;
  /**
   * The caller that a token presented here names. Fault UNAUTHENTICATED: not ours, not for us, too old, or of a
   * service that neither the call table nor, for events, a subscription lets reach us, or of another service than the
   * certificate of the connection.
   */
  callerOf(token: string, reaching?: "call" | "event"): Promise<CallerName>;
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
  const mayReach = (caller: CallerName, reaching: "call" | "event"): boolean =>
    // whoever has another's token still has not its certificate
    caller === (currentPeer.getStore() ?? caller) &&
    (reaching === "event"
      ? listensTo(listeners, self, caller)
      : self in services && mayCall(caller, self as ServiceName));
  const keys = new Map<CallerName, Awaited<ReturnType<typeof keyPair>>[]>();
  const keysOf = async (caller: CallerName) => {
    const seeds = () => deriveKeys(masterKey, `service-token/${caller}`);
    const found = keys.get(caller) ?? (await Promise.all(seeds().map(keyPair)));
    keys.set(caller, found);
    return found;
  };
  const issued = new Map<ServiceName, { token: string; renewAtMs: number }>();
  const accepted = new Map<string, { caller: CallerName; expiresAtMs: number }>();
  const refuse = () => fault("unauthenticated", "UNAUTHENTICATED", "The service token is not valid.");
  return {
    async tokenFor(callee) {
      const nowMs = clock().getTime();
      const last = issued.get(callee);
      if (last && last.renewAtMs > nowMs) return last.token;
      const [newest] = await keysOf(self);
      const now = Math.floor(nowMs / 1000);
      const token = await new SignJWT()
        .setProtectedHeader({ alg: "EdDSA", typ: "svc+jwt", kid: self })
        .setIssuer(self)
        .setAudience(callee)
        .setIssuedAt(now)
        .setExpirationTime(now + ttlSeconds)
        .sign(newest!.signKey);
      issued.set(callee, { token, renewAtMs: nowMs + (ttlSeconds * 1000) / 2 });
      return token;
    },
    async callerOf(token, reaching = "call") {
      const nowMs = clock().getTime();
      const known = accepted.get(token);
      if (known && known.expiresAtMs > nowMs && mayReach(known.caller, reaching)) return known.caller;
      try {
        const { kid } = decodeProtectedHeader(token);
        if (!kid || !(kid in calls)) throw refuse();
        const options = {
          algorithms: ["EdDSA"],
          typ: "svc+jwt",
          audience: self,
          requiredClaims: ["iss", "exp"],
          currentDate: clock(),
        };
        const pairs = await keysOf(kid as CallerName);
        const { payload, protectedHeader } = await Promise.any(
          pairs.map(({ verifyKey }) => jwtVerify(token, verifyKey, options)),
        );
        const caller = payload.iss as CallerName;
        // iss must be the key's own name, or one service could speak for another
        if (caller !== protectedHeader.kid || !mayReach(caller, reaching)) throw refuse();
        if (accepted.size > 1000) accepted.clear();
        accepted.set(token, { caller, expiresAtMs: payload.exp! * 1000 });
        return caller;
      } catch {
        throw refuse();
      }
    },
  };
}
