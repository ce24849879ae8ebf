import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { testClock } from "../testing/harness";
import { reasonOf } from "../testing/refusal";
import { accessTokenVerifier } from "./access-token";
import { keyTimes } from "./auth-keys";

const clock = testClock();
let key: CryptoKey;
let jwk: JWK;
let fetches: number;
let serial = 0;
/** What auth answers to the question for its keys. */
let answer: (request: Request) => Response | Promise<Response>;
let background: Promise<unknown>[];

beforeAll(async () => {
  const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  key = pair.privateKey;
  jwk = { ...(await exportJWK(pair.publicKey)), alg: "EdDSA", use: "sig" };
});
const publishing =
  (...kids: string[]) =>
  () =>
    Response.json({ keys: kids.map((kid) => ({ ...jwk, kid })) });
const away = () => Promise.reject(new TypeError("connection refused"));
beforeEach(() => {
  fetches = 0;
  background = [];
  answer = publishing("mine");
});

const verifier = () =>
  accessTokenVerifier({
    clock,
    background: (work) => void background.push(work),
    fetchAuth: async (request) => {
      fetches++;
      return answer(request);
    },
  }).verify;

/** A token that nobody saw before, under one key with whatever name. */
function signed(kid = "mine"): Promise<string> {
  const iat = Math.floor(clock().getTime() / 1000);
  return new SignJWT({ sid: "ses_1", roles: [], ver: 1, jti: String(++serial), iat, exp: iat + 900 })
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid })
    .setSubject("usr_01kdvdna00fzbv6g1m0yqktygw")
    .setIssuer("edgemall")
    .setAudience("edgemall")
    .sign(key);
}

/** Reasons that tokens of many unknown keys are refused for, all at once and then one after the other. */
async function flood(verify: ReturnType<typeof verifier>): Promise<string[]> {
  const knock = async (n: number) => reasonOf(verify(await signed(`unknown-${n}`)));
  const reasons = await Promise.all(Array.from({ length: 200 }, (_, n) => knock(n)));
  for (let n = 200; n < 250; n++) reasons.push(await knock(n));
  return [...new Set(reasons)];
}

const seconds = (ms: number) => ms / 1000;

describe("unknown key ids", () => {
  test("cost one question in a cool-down, however many come", async () => {
    const verify = verifier();
    expect(await flood(verify)).toEqual(["UNAUTHENTICATED"]);
    expect(fetches).toBe(1);
    clock.advance(seconds(keyTimes.cooldown) - 1);
    expect(await flood(verify)).toEqual(["UNAUTHENTICATED"]);
    expect(fetches).toBe(1);
    clock.advance(1);
    expect(await flood(verify)).toEqual(["UNAUTHENTICATED"]);
    expect(fetches).toBe(2);
  });

  test("cost one question a second while auth is away, and are not called invalid then", async () => {
    const verify = verifier();
    await verify(await signed());
    clock.advance(seconds(keyTimes.cooldown));
    answer = away;
    for (let asked = 2; asked < 5; asked++) {
      expect(await flood(verify)).toEqual(["AUTH_UNAVAILABLE"]);
      expect(fetches).toBe(asked);
      clock.advance(seconds(keyTimes.failing));
    }
  });

  test("that auth has made since are accepted by all who came with them at once", async () => {
    const verify = verifier();
    await verify(await signed());
    clock.advance(seconds(keyTimes.cooldown));
    answer = async () => {
      await Bun.sleep(20);
      return publishing("next", "mine")();
    };
    const users = await Promise.all(Array.from({ length: 20 }, async () => verify(await signed("next"))));
    expect(users).toHaveLength(20);
    expect(fetches).toBe(2);
  });
});

describe("known keys", () => {
  test.each([
    ["refuses connections", away],
    ["fails", () => new Response(null, { status: 503 })],
    ["answers nonsense", () => Response.json({ keys: "none" })],
  ])("verify for hours while auth %s", async (_, failing) => {
    const verify = verifier();
    await verify(await signed());
    answer = failing;
    for (let minutes = 0; minutes < 180; minutes += 10) {
      clock.advance(600);
      expect((await verify(await signed())).sessionId).toBe("ses_1");
      await Promise.all(background);
    }
    expect(fetches).toBe(19);
  });

  test("are asked for again beside the requests when they are old, and retired ones are gone then", async () => {
    const verify = verifier();
    const retired = await signed();
    answer = publishing("mine", "next");
    await verify(retired);
    clock.advance(seconds(keyTimes.old));
    answer = publishing("next");
    expect((await verify(await signed("next"))).sessionId).toBe("ses_1");
    await Promise.all(background);
    expect(await reasonOf(verify(await signed("mine")))).toBe("UNAUTHENTICATED");
    expect(fetches).toBe(2);
  });

  test("are not waited for by who has them, when auth hangs", async () => {
    const verify = verifier();
    await verify(await signed());
    clock.advance(seconds(keyTimes.old));
    let wasCutOff = false;
    answer = ({ signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          wasCutOff = true;
          reject(signal.reason);
        }),
      );
    for (let n = 0; n < 20; n++) expect((await verify(await signed())).sessionId).toBe("ses_1");
    expect([fetches, wasCutOff]).toEqual([2, false]);
    await Promise.all(background);
    expect(wasCutOff).toBe(true);
  });
});

test("without any key nobody is let in; auth is asked again after a second, which those who come meanwhile wait for", async () => {
  const verify = verifier();
  answer = away;
  expect(await reasonOf(verify(await signed()))).toBe("AUTH_UNAVAILABLE");
  answer = publishing("mine");
  const waiting = Promise.all(Array.from({ length: 20 }, async () => verify(await signed())));
  await Bun.sleep(50);
  expect(fetches).toBe(1);
  clock.advance(seconds(keyTimes.failing));
  expect(await waiting).toHaveLength(20);
  expect(fetches).toBe(2);
});
