import { expect, test } from "bun:test";
import { atEnd } from "@mall/kernel/testing/cleanup";
import { takenApart } from "@mall/kernel/testing/forgery";
import { freePorts } from "@mall/kernel/testing/ports";
import { accessPair } from "./access-callers";
import { another } from "./another";
import { host, hostKind } from "./host";
import { isMutual } from "./network";
import { newUser, type Problem } from "./shop";

/** A way to auth that counts the questions for its keys, and can be closed. */
async function countedAuth() {
  const { auth } = (await host()).services!;
  let asked = 0;
  const server = Bun.serve({
    port: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/.well-known/jwks.json") asked++;
      return fetch(`${auth}${pathname}`, {
        method: request.method,
        headers: request.headers,
        body: request.method === "POST" ? await request.arrayBuffer() : undefined,
      });
    },
  });
  atEnd(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}`, asked: () => asked, close: () => server.stop(true) };
}

// what counts the questions stands between, which mutual TLS does not let it
test.skipIf(hostKind !== "many" || isMutual)(
  "a flood of unknown keys costs each process one question, and known keys verify while auth is away",
  async () => {
    const auth = await countedAuth();
    const [one, two, ...grpc] = (await freePorts(4)) as [number, number, number, number];
    await Promise.all(
      [one, two].map((port, n) => another("product", { port, grpcPort: grpc[n]! }, auth.url)),
    );
    const urls = [one, two].map((port) => `http://127.0.0.1:${port}`);
    const answer = async (url: string, token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      const response = await fetch(`${url}/v1/products?pageSize=1`, { headers });
      return response.ok ? "in" : ((await response.json()) as Problem).reason;
    };
    const [first, { sign }] = [await newUser(), await accessPair()];
    const { header, claims } = takenApart(first.token);
    const flood = (from: number) =>
      Promise.all(
        urls.flatMap((url) =>
          Array.from({ length: 150 }, async (_, n) =>
            answer(url, await sign({ ...header, kid: `unknown-${from + n}` }, claims)),
          ),
        ),
      );
    for (const url of urls) expect(await answer(url, first.token)).toBe("in");
    expect(auth.asked()).toBe(2);
    for (const from of [0, 1_000]) expect(new Set(await flood(from))).toEqual(new Set(["UNAUTHENTICATED"]));
    expect(auth.asked()).toBe(2);

    await auth.close();
    const unseen = await newUser();
    for (const url of urls) expect(await answer(url, unseen.token)).toBe("in");
  },
);
