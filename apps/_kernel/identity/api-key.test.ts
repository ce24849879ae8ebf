import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { VerifyApiKeyResponseSchema } from "@mall/gen/mall/auth/v1/keys_pb";
import { testClock } from "../testing/harness";
import { reasonOf } from "../testing/refusal";
import { apiKeyVerifier } from "./api-key";

const key = `mk_${"a".repeat(12)}_${"A".repeat(43)}`;
const valid = { apiKeyId: "key_1", userId: "usr_1", roles: ["staff"], scopes: ["stock.read"] };

/** An auth that the test plays, and a verifier that asks it. */
function verifier() {
  const clock = testClock();
  const auth = { asked: 0, answer: async (): Promise<object> => valid };
  const verify = apiKeyVerifier(async () => {
    auth.asked++;
    return create(VerifyApiKeyResponseSchema, await auth.answer());
  }, clock);
  return { clock, auth, verify };
}

describe("an API key", () => {
  test("is asked about once in three quarters of a second", async () => {
    const { clock, auth, verify } = verifier();
    expect(await verify(key)).toEqual({
      id: "key_1",
      ownerId: "usr_1",
      roles: ["staff"],
      scopes: ["stock.read"],
    } as never);
    clock.advance(0.749);
    await verify(key);
    expect(auth.asked).toBe(1);
    auth.answer = async () => ({});
    clock.advance(0.001);
    expect(await reasonOf(verify(key))).toBe("UNAUTHENTICATED");
    expect(await reasonOf(verify(key))).toBe("UNAUTHENTICATED");
    expect(auth.asked).toBe(2);
  });

  test("that is none by its form is not asked about", async () => {
    const { auth, verify } = verifier();
    for (const text of ["mk_", `${key}A`, key.toUpperCase(), `mk_${"a".repeat(56)}`, `${key}\n`])
      expect(await reasonOf(verify(text))).toBe("UNAUTHENTICATED");
    expect(auth.asked).toBe(0);
  });

  test("goes on for a quarter of an hour while auth is away; an unknown one has to wait", async () => {
    const { clock, auth, verify } = verifier();
    await verify(key);
    auth.answer = () => Promise.reject(new Error("away"));
    clock.advance(899);
    expect((await verify(key)).scopes).toEqual(["stock.read"]);
    clock.advance(1);
    expect(await reasonOf(verify(key))).toBe("AUTH_UNAVAILABLE");
    expect(await reasonOf(verify(key.replace("a", "b")))).toBe("AUTH_UNAVAILABLE");
  });
});
