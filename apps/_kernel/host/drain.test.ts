import { afterAll, describe, expect, test } from "bun:test";
import { createConnection } from "node:net";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { drainingHeader } from "../registry/port";
import { freePorts } from "../testing/ports";
import { serveGrpc, serveHttp } from "./bun";
import { drainable, endGently } from "./drain";

const log = () => {};
const ends: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(ends.map((end) => end())));

/** A server that answers /slow when it is told to, and what happened in which order. */
async function served(graceSeconds: number) {
  const [port] = (await freePorts(1)) as [number];
  const happened: string[] = [];
  const slow = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const drain = drainable(async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/slow") {
      begun.resolve();
      await slow.promise;
      happened.push("slow answer");
    }
    return Response.json({ pathname });
  });
  const http = serveHttp(drain.fetch, port, "127.0.0.1");
  ends.push(() => http.stop(true));
  const end = () =>
    endGently({
      ...{ drain, graceSeconds, log },
      leave: async () => void happened.push("left the registry"),
      servers: [
        async () => {
          happened.push("stopped listening");
          await http.stop();
        },
      ],
      close: async () => void happened.push("closed"),
    });
  return { url: `http://127.0.0.1:${port}`, port, happened, slow, begun: begun.promise, end };
}

describe("a process that is told to end", () => {
  test("is not ready and says so to its callers, but answers until they know", async () => {
    const { url, end } = await served(0.5);
    expect((await fetch(`${url}/readyz`)).headers.get(drainingHeader)).toBeNull();
    const ended = end();
    const probe = await fetch(`${url}/readyz`);
    expect([probe.status, await probe.json()]).toEqual([503, { status: "draining", checks: {} }]);
    const answer = await fetch(`${url}/else`);
    expect([answer.status, await answer.json()]).toEqual([200, { pathname: "/else" }]);
    expect([answer.headers.get(drainingHeader), answer.headers.get("connection")]).toEqual(["1", "close"]);
    await ended;
    await expect(fetch(`${url}/else`)).rejects.toThrow();
  });

  test("leaves the registry first, then finishes what was asked, then lets go", async () => {
    const { url, end, happened, slow, begun } = await served(0);
    const asked = fetch(`${url}/slow`);
    await begun;
    const ended = end();
    while (!happened.includes("stopped listening")) await Bun.sleep(5);
    await Bun.sleep(100);
    expect(happened).toEqual(["left the registry", "stopped listening"]);
    slow.resolve();
    expect((await asked).status).toBe(200);
    await ended;
    expect(happened.slice(2)).toEqual(["slow answer", "closed"]);
  });

  test("ends connections that are kept alive: the used with their answer, the idle with the process", async () => {
    const { port, end } = await served(0.3);
    const connection = () => {
      const socket = createConnection(port, "127.0.0.1");
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      const closed = new Promise((resolve) => socket.once("close", resolve));
      const ask = async () => {
        text = "";
        socket.write("GET /else HTTP/1.1\r\nhost: any\r\n\r\n");
        while (!text.includes('"/else"')) await Bun.sleep(5);
        return text;
      };
      return { ask, closed };
    };
    const [idle, used] = [connection(), connection()];
    expect(await idle.ask()).not.toContain("close");
    await used.ask();
    const ended = end();
    expect(await used.ask()).toContain("Connection: close");
    await used.closed;
    await ended;
    await idle.closed;
  });
});

test("gRPC calls that were begun are answered before their server ends, and no new ones are taken", async () => {
  const [port] = (await freePorts(1)) as [number];
  const [begun, slow] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const server = await serveGrpc(
    (router) =>
      router.rpc(PolicyService.method.getPolicy, async () => {
        begun.resolve();
        await slow.promise;
        return create(PolicyService.method.getPolicy.output, { policy: { revision: 7n } });
      }),
    async () => new Response("no"),
    port,
    "127.0.0.1",
  );
  const client = () =>
    createClient(PolicyService, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
  const first = client();
  const asked = first.getPolicy({});
  await begun.promise;
  let isStopped = false;
  const stopped = server.stop().then(() => {
    isStopped = true;
  });
  const late = await client()
    .getPolicy({}, { timeoutMs: 2_000 })
    .catch((error) => ConnectError.from(error).code);
  expect(late).toBe(Code.Unavailable);
  expect(isStopped).toBe(false);
  slow.resolve();
  expect((await asked).policy?.revision).toBe(7n);
  await stopped;
});
