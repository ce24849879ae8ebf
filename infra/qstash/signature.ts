import { createHash, randomUUID } from "node:crypto";
import { SignJWT } from "jose";

/** The `Upstash-Signature` of a delivery: a JWT over its address and the digest of its body, valid for 5 minutes. */
export function signatureOf(key: string, url: string, body: string): Promise<string> {
  const digest = createHash("sha256").update(body).digest("base64url");
  return new SignJWT({ body: digest })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuer("Upstash")
    .setSubject(url)
    .setIssuedAt()
    .setNotBefore("0s")
    .setExpirationTime("5m")
    .setJti(`jwt_${randomUUID()}`)
    .sign(new TextEncoder().encode(key));
}
