import { beforeAll, describe, expect, test } from "bun:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import {
  accessKind,
  forgeries,
  misstatements,
  type Sign,
  serviceKind,
  signerOf,
  takenApart,
} from "../testing/forgery";
import { testClock } from "../testing/harness";
import { reasonOf } from "../testing/refusal";
import { accessTokenVerifier, type VerifyAccessToken } from "./access-token";
import { eventScope, serviceKeys, serviceTokens } from "./service-token";

/*
 * What is wrong with a token, one trick at a time; the tricks are in ../testing/forgery. The same list knocks at the
 * whole mall in apps/mall/e2e/attacks.test.ts.
 */

const master = "a master key of at least thirty-two characters";
const scope = "/mall.cart.v1.CartService/LockCart";
const clock = testClock();
const nowSeconds = () => Math.floor(clock().getTime() / 1000);

/** Tricks that were not refused as they must be. */
async function unexpected(
  tricks: Record<string, string>,
  knock: (token: string) => Promise<unknown>,
): Promise<string[]> {
  const found: string[] = [];
  for (const [name, token] of Object.entries(tricks)) {
    const reason = await reasonOf(knock(token));
    if (reason !== "UNAUTHENTICATED") found.push(`${name}: ${reason || "accepted"}`);
  }
  return found;
}

describe("an access token", () => {
  let token: string;
  let publicJwk: JsonWebKey;
  let sign: Sign;
  let verify: VerifyAccessToken;
  beforeAll(async () => {
    const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
    const next = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
    publicJwk = (await exportJWK(pair.publicKey)) as JsonWebKey;
    const more = { alg: "EdDSA", use: "sig" };
    const keys = [
      { ...publicJwk, ...more, kid: "mine" },
      { ...(await exportJWK(next.publicKey)), ...more, kid: "next" },
    ];
    sign = signerOf(pair.privateKey);
    const now = nowSeconds();
    token = await new SignJWT({
      sid: "ses_1",
      roles: ["customer"],
      ver: 1,
      iat: now,
      exp: now + 900,
      jti: "x",
    })
      .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: "mine" })
      .setSubject("usr_01kdvdna00fzbv6g1m0yqktygw")
      .setIssuer("edgemall")
      .setAudience("edgemall")
      .sign(pair.privateKey);
    const fetchAuth = async () => Response.json({ keys });
    ({ verify } = accessTokenVerifier({ fetchAuth, clock, background: () => {} }));
  });

  test("that is genuine is accepted, also when these tests make it", async () => {
    const { header, claims } = takenApart(token);
    expect((await verify(token)).sessionId).toBe("ses_1");
    expect((await verify(await sign(header, { ...claims, jti: "y", more: 1 }))).sessionId).toBe("ses_1");
  });

  test("is refused that somebody without the key made", async () => {
    const tricks = forgeries({ token, publicJwk, otherKids: ["next"] });
    expect(await unexpected(tricks, verify)).toEqual([]);
  });

  test("is refused that says something else, though auth's own key signed it", async () => {
    const tricks = await misstatements(token, accessKind, sign, nowSeconds());
    const { header, claims } = takenApart(token);
    const says = (changes: object) => sign(header, { ...claims, ...changes });
    const kinds = {
      "subject that is no user": await says({ sub: "ses_01kdvdna00fqkvcfpjxfdc2442" }),
      "subject of a service": await says({ sub: "checkout" }),
      "roles that are a text": await says({ roles: "admin" }),
      "roles that are no texts": await says({ roles: [{ name: "admin" }] }),
      "version that is a text": await says({ ver: "999" }),
      "version that is a fraction": await says({ ver: 1.5 }),
    };
    expect(await unexpected({ ...tricks, ...kinds }, verify)).toEqual([]);
  });

  test("of auth's clock that is half a minute ahead is accepted", async () => {
    const { header, claims } = takenApart(token);
    const iat = nowSeconds() + 30;
    expect((await verify(await sign(header, { ...claims, iat, exp: iat + 900 }))).sessionId).toBe("ses_1");
  });

  test("is good until its expiry, and not a second longer, also where it was accepted before", async () => {
    const { header, claims } = takenApart(token);
    const short = await sign(header, { ...claims, exp: nowSeconds() + 10 });
    clock.advance(9);
    expect((await verify(short)).sessionId).toBe("ses_1");
    clock.advance(1);
    expect(await reasonOf(verify(short))).toBe("TOKEN_EXPIRED");
  });

  test("is no service token", async () => {
    const cart = serviceTokens(master, "cart", clock);
    expect(await unexpected({ token }, (given) => cart.callerOf(given, scope))).toEqual([]);
  });
});

describe("a service token", () => {
  let token: string;
  let publicJwk: JsonWebKey;
  let sign: Sign;
  /** Presents a token to the cart service, which never saw it before. */
  const present = (given: string) => serviceTokens(master, "cart", clock).callerOf(given, scope);
  beforeAll(async () => {
    token = await serviceTokens(master, "checkout", clock).tokenFor("cart", scope);
    const [pair] = await serviceKeys(master, "checkout");
    publicJwk = await crypto.subtle.exportKey("jwk", pair!.verifyKey);
    sign = signerOf(pair!.signKey);
  });

  test("that is genuine is accepted, also when these tests make it", async () => {
    const { header, claims } = takenApart(token);
    expect(await present(token)).toBe("checkout");
    expect(await present(await sign(header, { ...claims, more: 1 }))).toBe("checkout");
  });

  test("is refused that somebody without the key made", async () => {
    const tricks = forgeries({ token, publicJwk, otherKids: ["gateway", "mall", "cart", "order"] });
    expect(await unexpected(tricks, present)).toEqual([]);
  });

  test("is refused that says something else, though its caller's own key signed it", async () => {
    const tricks = await misstatements(token, serviceKind, sign, nowSeconds());
    const { header, claims } = takenApart(token);
    const says = (changes: object) => sign(header, { ...claims, ...changes });
    const speaking = {
      "in the name of the gateway": await says({ iss: "gateway" }),
      "in the name of the gateway, forwarding": await says({ iss: "gateway", scope: "forward" }),
      "forwarding, which only the gateway does": await says({ scope: "forward" }),
      "for events": await says({ scope: eventScope }),
      "for everything": await says({ scope: "*" }),
      "for several RPCs": await says({ scope: `${scope} ${eventScope}` }),
    };
    expect(await unexpected({ ...tricks, ...speaking }, present)).toEqual([]);
  });

  test("is no access token", async () => {
    const fetchAuth = async () => Response.json({ keys: [{ ...publicJwk, kid: "checkout", alg: "EdDSA" }] });
    const { verify } = accessTokenVerifier({ fetchAuth, clock, background: () => {} });
    expect(await unexpected({ token }, verify)).toEqual([]);
  });
});
