import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
} from "jose";
import { testClock } from "../testing/harness";
import { reasonOf } from "../testing/refusal";
import { accessTokenVerifier } from "./access-token";
import { eventScope, serviceTokens } from "./service-token";

const master = "a master key of at least thirty-two characters";
const clock = testClock();
const claims = {
  ...{ sub: "usr_01kdvdna00fzbv6g1m0yqktygw", sid: "ses_01kdvdna00fqkvcfpjxfdc2442", roles: ["customer"] },
  ...{ ver: 1, iss: "edgemall", aud: "edgemall", jti: "x" },
};

let key: CryptoKey;
let jwk: JWK;
let fetches: number;
/** What auth answers to the question for its keys. */
let answer: () => Response | Promise<Response>;
beforeAll(async () => {
  const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  key = pair.privateKey;
  jwk = { ...(await exportJWK(pair.publicKey)), kid: "mine", alg: "EdDSA", use: "sig" };
});
beforeEach(() => {
  fetches = 0;
  answer = () => Response.json({ keys: [jwk] });
});

const verifier = () =>
  accessTokenVerifier(async () => {
    fetches++;
    return answer();
  }, clock).verify;

const nowSeconds = () => Math.floor(clock().getTime() / 1000);

/** A token signed by auth's own key: only what it says can be wrong with it. */
function signed(more: object = {}, header: Partial<JWTHeaderParameters> = {}): Promise<string> {
  const times = { iat: nowSeconds(), exp: nowSeconds() + 900 };
  return new SignJWT({ ...claims, ...times, ...more })
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: "mine", ...header })
    .sign(key);
}

const without = (name: keyof typeof claims | "exp" | "iat") => signed({ [name]: undefined });

describe("the keys of auth", () => {
  test("are asked for once, however many unknown key ids come at once or one after the other", async () => {
    const verify = verifier();
    expect((await verify(await signed())).id).toBe(claims.sub as never);
    expect(fetches).toBe(1);
    const unknown = (n: number) => signed({ jti: String(n) }, { kid: `unknown-${n}` });
    const reasons = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => reasonOf(verify(await unknown(n)))),
    );
    for (let n = 200; n < 300; n++) reasons.push(await reasonOf(verify(await unknown(n))));
    expect(new Set(reasons)).toEqual(new Set(["UNAUTHENTICATED"]));
    expect(fetches).toBe(1);
  });

  test("that are known go on verifying while auth is away, also tokens that were not seen before", async () => {
    const verify = verifier();
    await verify(await signed());
    answer = () => Promise.reject(new TypeError("connection refused"));
    for (let n = 0; n < 20; n++)
      expect((await verify(await signed({ jti: String(n) }))).roles).toEqual(["customer"]);
    expect(await reasonOf(verify(await signed({}, { kid: "unknown" })))).toBe("UNAUTHENTICATED");
    expect(fetches).toBe(1);
  });
});

describe("a token that auth's own key signed", () => {
  test("is refused when it says something else, or less, than an access token says", async () => {
    const verify = verifier();
    const tricks: Record<string, Promise<string>> = {
      "another issuer": signed({ iss: "evilmall" }),
      "no issuer": without("iss"),
      "another audience": signed({ aud: "other" }),
      "no audience": without("aud"),
      "no subject": without("sub"),
      "no session": without("sid"),
      "no roles": without("roles"),
      "no version": without("ver"),
      "no id": without("jti"),
      "no time of issue": without("iat"),
      "no expiry": without("exp"),
      "expiry as text": signed({ exp: String(nowSeconds() + 900) }),
      "not yet valid": signed({ nbf: nowSeconds() + 60 }),
      "subject that is no user": signed({ sub: "ses_01kdvdna00fqkvcfpjxfdc2442" }),
      "subject that is a list": signed({ sub: [claims.sub] }),
      "session that is an object": signed({ sid: { toString: "x" } }),
      "roles that are text": signed({ roles: "admin" }),
      "roles that are no texts": signed({ roles: [{ name: "admin" }] }),
      "version that is text": signed({ ver: "999" }),
      "type of a service token": signed({}, { typ: "svc+jwt" }),
      "type of any token": signed({}, { typ: "JWT" }),
      "no type": signed({}, { typ: undefined }),
      "an extension nobody knows": signed({}, { crit: ["exp"], exp: 1 } as never).catch(() => "a.b.c"),
    };
    for (const [name, token] of Object.entries(tricks))
      expect([name, await reasonOf(verify(await token))]).toEqual([name, "UNAUTHENTICATED"]);
  });

  test("is good for one second less than until its expiry", async () => {
    const verify = verifier();
    const token = await signed({ exp: nowSeconds() + 10 });
    clock.advance(9);
    expect((await verify(token)).sessionId).toBe(claims.sid);
    clock.advance(1);
    expect(await reasonOf(verify(token))).toBe("TOKEN_EXPIRED");
  });
});

test("tokens of users and of services are not taken for each other", async () => {
  const verify = verifier();
  const service = await serviceTokens(master, "checkout", clock).tokenFor("cart", eventScope);
  expect(await reasonOf(verify(service))).toBe("UNAUTHENTICATED");
  const cart = serviceTokens(master, "cart", clock);
  expect(await reasonOf(cart.callerOf(await signed(), eventScope))).toBe("UNAUTHENTICATED");
  expect(await reasonOf(verify("x".repeat(100_000)))).toBe("UNAUTHENTICATED");
});
