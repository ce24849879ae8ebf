import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type GetPolicyResponse, GetPolicyResponseSchema } from "@mall/gen/mall/auth/v1/policy_pb";
import { testClock } from "../testing/harness";
import type { Known, Policy } from "./policy";
import { cachedPolicy, ownPolicy, policyTimes } from "./source";

const user = "usr_00000000000000000000000001";

/** An auth that the test plays, and a copy of its policy in one instance. */
function instance() {
  const clock = testClock();
  const asked: Known[] = [];
  const background: Promise<unknown>[] = [];
  const auth = {
    revision: 1n,
    blocked: [] as string[],
    answer: async (): Promise<void> => {},
  };
  const load = async (known: Known): Promise<GetPolicyResponse> => {
    asked.push(known);
    const { revision, blocked } = auth;
    await auth.answer();
    return create(GetPolicyResponseSchema, {
      policy: known.revision === revision ? undefined : { revision },
      blockedUserIds: blocked,
      asOf: timestampFromDate(clock()),
    });
  };
  const source = cachedPolicy({
    load,
    clock,
    background: (work) => void background.push(work),
    log: () => {},
  });
  const block = () => {
    auth.revision++;
    auth.blocked = [user];
  };
  return { clock, asked, auth, block, source, load, background };
}

const isBlocked = (policy: Policy | undefined) => policy?.isBlocked(user);

describe("a copy of the policy", () => {
  test("is asked for when somebody needs it, and used for three quarters of a second", async () => {
    const { clock, asked, source } = instance();
    expect(isBlocked(await source())).toBe(false);
    for (let ms = 0; ms < policyTimes.fresh - 1; ms++) {
      clock.advance(0.001);
      await source();
    }
    expect(asked).toHaveLength(1);
    clock.advance(0.001);
    await source();
    expect(asked.map(({ revision }) => revision)).toEqual([undefined, 1n]);
  });

  test("never answers with what was true more than a second ago", async () => {
    const { clock, source, block } = instance();
    await source();
    block();
    clock.advance(policyTimes.stale / 1000);
    expect(isBlocked(await source())).toBe(true);
    expect(policyTimes.stale).toBeLessThan(1_000);
  });

  test("is replaced in the background while it is young enough, by one request for all", async () => {
    const { clock, asked, source, block, background } = instance();
    await source();
    block();
    clock.advance(policyTimes.fresh / 1000);
    const answers = await Promise.all(Array.from({ length: 100 }, async () => isBlocked(await source())));
    expect(answers).toEqual(answers.map(() => false));
    await Promise.all(background);
    expect(isBlocked(await source())).toBe(true);
    expect(asked).toHaveLength(2);
  });

  test("is asked for once when many need it at once", async () => {
    const { asked, auth, source } = instance();
    auth.answer = () => Bun.sleep(20);
    const answers = await Promise.all(Array.from({ length: 100 }, async () => isBlocked(await source())));
    expect(answers).toEqual(answers.map(() => false));
    expect(asked).toHaveLength(1);
  });

  test("holds while nobody answers, and nobody waits for that", async () => {
    const { clock, asked, auth, source, block, background } = instance();
    block();
    expect(isBlocked(await source())).toBe(true);
    auth.answer = async () => Promise.reject(new Error("away"));
    clock.advance(3600);
    expect(isBlocked(await source())).toBe(true);
    const hanging = Promise.withResolvers<void>();
    auth.answer = () => hanging.promise;
    clock.advance(1);
    for (let i = 0; i < 100; i++) expect(source()).not.toBeInstanceOf(Promise);
    expect(asked).toHaveLength(3);
    auth.blocked = [];
    auth.revision++;
    auth.answer = async () => {};
    clock.advance(1);
    await source();
    await background.at(-1);
    expect(isBlocked(await source())).toBe(false);
    hanging.resolve();
    await Promise.all(background);
    expect(isBlocked(await source())).toBe(false);
  });

  test("is not known before the first answer, and asked for again half a second after a failure", async () => {
    const { clock, asked, auth, source } = instance();
    auth.answer = async () => Promise.reject(new Error("away"));
    for (let i = 0; i < 10; i++) expect(await source()).toBeUndefined();
    expect(asked).toHaveLength(1);
    auth.answer = async () => {};
    clock.advance(policyTimes.askAgain / 1000);
    expect(isBlocked(await source())).toBe(false);
  });

  test("of auth itself is never old", async () => {
    const { load, block } = instance();
    const own = ownPolicy({ load, log: () => {} });
    expect(isBlocked(await own())).toBe(false);
    block();
    expect(isBlocked(await own())).toBe(true);
  });
});
