import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { NotSent } from "../registry/port";
import { newAuthority, newLeaf, testCredentials, testFiles } from "../testing/certificates";
import { caller, echoServer } from "../testing/mtls";

const authority = await newAuthority();
const cart = testCredentials(testFiles([authority], await newLeaf(authority, "cart")));
const order = testCredentials(testFiles([authority], await newLeaf(authority, "order")));

test("a service knows which service calls, and all calls share a connection", async () => {
  const server = await echoServer(cart);
  const call = caller(order, "cart", server.url);
  const answers = await Promise.all(Array.from({ length: 50 }, () => call("/things?a=1")));
  expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(201));
  expect(new Set(server.callers)).toEqual(new Set(["order"]));
  expect(server.sessions.size).toBe(1);
});

test("bodies of every size arrive whole in both directions", async () => {
  const server = await echoServer(cart);
  const call = caller(order, "cart", server.url);
  for (const bytes of [1, 65_535, 8_000_000]) {
    const sent = await call("/", { method: "POST", body: new ArrayBuffer(bytes) });
    expect(await sent.json()).toEqual({ method: "POST", pathname: "/", bytes });
    const received = await call(`/large?bytes=${bytes}`);
    expect((await received.arrayBuffer()).byteLength).toBe(bytes);
  }
  expect((await call("/empty")).status).toBe(204);
});

test("what a client may send over HTTP/1.1 passes, so that nobody can make an instance look broken", async () => {
  const server = await echoServer(cart);
  const call = caller(order, "cart", server.url);
  const slow = call("/?wait=500");
  const ofConnection = {
    "http2-settings": "AAMAAABk",
    te: "gzip",
    trailer: "x",
    upgrade: "h2c",
    "keep-alive": "1",
  };
  const odd = { expect: "100-continue", "x-empty": "", "x-long": "y".repeat(15_000), "x-latin": "\u00ff" };
  const many = Object.fromEntries(Array.from({ length: 198 }, (_, i) => [`x-${i}`, "1"]));
  const headers = [ofConnection, odd, many, { "content-length": "0" }, { "content-length": "77" }];
  const methods = ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH", "OPTIONS", "TRACE"];
  const tries = headers.flatMap((some) => methods.map((method) => ({ method, headers: new Headers(some) })));
  const answers = await Promise.all(tries.map((more) => call("/any", more)));
  expect(answers.map(({ status }) => status)).toEqual(tries.map(() => 201));
  expect((await slow).status).toBe(201);
  expect(server.sessions.size).toBe(1);
});

test("whoever goes away is waited for no longer, and the connection stays", async () => {
  const server = await echoServer(cart);
  const call = caller(order, "cart", server.url);
  const gone = call("/?wait=10000", { signal: AbortSignal.timeout(50) });
  expect(await gone.catch((error) => error.name)).toBe("TimeoutError");
  expect((await call("/")).status).toBe(201);
  expect(server.sessions.size).toBe(1);
});

test("an address without TLS is not even connected to", async () => {
  let connections = 0;
  const plain = createServer(() => void connections++).listen(0, "127.0.0.1");
  await new Promise((resolve) => plain.once("listening", resolve));
  const { port } = plain.address() as { port: number };
  const refused = await caller(order, "cart", `http://127.0.0.1:${port}`)().catch((error) => error);
  await new Promise((resolve) => plain.close(resolve));
  expect(refused).toBeInstanceOf(NotSent);
  expect(connections).toBe(0);
});

test("a process that ends answers what it has, and takes nothing more", async () => {
  const server = await echoServer(cart);
  const call = caller(order, "cart", server.url);
  await call("/");
  const slow = call("/?wait=300");
  await Bun.sleep(100);
  const stopped = server.stop();
  expect((await slow).status).toBe(201);
  await stopped;
  expect(await call("/").catch((error) => error)).toBeInstanceOf(NotSent);
});
