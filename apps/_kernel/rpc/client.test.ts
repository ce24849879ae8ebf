import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { cancellable } from "../db/cancellation";
import type { ServiceTokens } from "../identity/service-token";
import type { Registry } from "../registry/port";
import { testClock } from "../testing/harness";
import { clientOf } from "./client";
import { currentRequest, type RequestContext } from "./context";
import { timed, timeoutMsOf } from "./deadline";

const clock = testClock();
const seen: { timeoutMs?: number; signal?: AbortSignal }[] = [];
const registry = {
  transport: () => ({
    unary: async (_method: unknown, signal?: AbortSignal, timeoutMs?: number) => {
      seen.push({ timeoutMs, signal });
      return { header: new Headers(), message: create(PolicyService.method.getPolicy.output) };
    },
  }),
} as unknown as Registry;
const tokens = { tokenFor: async () => "token" } as unknown as ServiceTokens;
const client = clientOf(PolicyService, registry, tokens, clock);

/** Calls a neighbour for a request that is given so many milliseconds and has used `usedMs` of them. */
async function called(givenMs: number | undefined, usedMs: number, timeoutMs?: number) {
  const deadlineMs = givenMs === undefined ? undefined : clock().getTime() + givenMs;
  const request: RequestContext = { actor: {}, client: {}, requestId: "one", deadlineMs };
  clock.advance(usedMs / 1000);
  await currentRequest.run(request, () => client.getPolicy({}, { timeoutMs }));
  return seen.at(-1)!.timeoutMs;
}

test("a call has what is left of its request's time, and no more than its own", async () => {
  expect(await called(2_000, 700)).toBe(1_300);
  expect(await called(2_000, 700, 500)).toBe(500);
  expect(await called(400, 300, 500)).toBe(100);
  expect(await called(60_000, 0)).toBe(10_000);
  expect(await called(undefined, 0)).toBe(10_000);
  // a time that is over is no reason to wait for ever
  expect(await called(2_000, 5_000)).toBe(1);
});

test("a call ends with the request that it is made for, and one that is made for none does not", async () => {
  const caller = new AbortController();
  const request: RequestContext = { actor: {}, client: {}, requestId: "one" };
  await cancellable(caller.signal, { refusesNext: true }, async () => {
    await currentRequest.run(request, () => client.getPolicy({}));
    await currentRequest.run(undefined, () => client.getPolicy({}));
  });
  const [forOne, forNone] = seen.slice(-2);
  caller.abort(new ConnectError("gone", Code.Canceled));
  expect([forOne!.signal?.aborted, forNone!.signal?.aborted ?? false]).toEqual([true, false]);
});

test("a call by Connect or gRPC-Web whose client names no time has one all the same", () => {
  const given = (headers: Record<string, string>) => Object.fromEntries(timed(new Headers(headers), 700));
  expect(given({})).toEqual({ "connect-timeout-ms": "700" });
  expect(given({ "connect-timeout-ms": "50" })).toEqual({ "connect-timeout-ms": "50" });
  const web = { "content-type": "application/grpc-web+proto" };
  expect(given(web)).toEqual({ ...web, "grpc-timeout": "700m" });
  expect(given({ ...web, "grpc-timeout": "5S" })).toEqual({ ...web, "grpc-timeout": "5S" });
});

test.each([
  [{}, undefined],
  [{ "connect-timeout-ms": "0" }, 0],
  [{ "grpc-timeout": "2S" }, 2_000],
  [{ "grpc-timeout": "150m" }, 150],
  [{ "grpc-timeout": "123456789m" }, undefined],
])("%p are so many milliseconds: %p", (headers, ms) => {
  expect(timeoutMsOf(new Headers(headers as Record<string, string>))).toBe(ms as number);
});
