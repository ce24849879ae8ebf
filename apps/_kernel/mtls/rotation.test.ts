import { expect, test } from "bun:test";
import { connect } from "node:http2";
import { NotSent } from "../registry/port";
import { hoursFromNow, newAuthority, newLeaf, testCredentials, testFiles } from "../testing/certificates";
import { caller, echoServer } from "../testing/mtls";
import type { Pair } from "./authority";

/** Two services that know each other, with the files of both. */
async function pairOfServices() {
  const authority = await newAuthority("Old CA");
  const cart = testFiles([authority], await newLeaf(authority, "cart"));
  const order = testFiles([authority], await newLeaf(authority, "order"));
  const live = { cart: testCredentials(cart), order: testCredentials(order) };
  const server = await echoServer(live.cart);
  return { authority, cart, order, live, server, call: caller(live.order, "cart", server.url) };
}

/** Calls all the time from eight sides, until it is stopped. Returns what failed and how many calls there were. */
function load(call: (path?: string) => Promise<Response>) {
  let isOver = false;
  const failures: string[] = [];
  let calls = 0;
  const runners = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      calls++;
      const status = await call(`/?wait=${calls % 5}`).then(
        (answer) => answer.status,
        (error) => String(error),
      );
      if (status !== 201) failures.push(String(status));
    }
  });
  return async () => {
    isOver = true;
    await Promise.all(runners);
    return { failures, calls };
  };
}

const inSeconds = (seconds: number): Date => hoursFromNow(seconds / 3600);

/** Time in which every process has seen its files change. */
const seen = () => Bun.sleep(150);

test("leaf certificates change under load without one failed call", async () => {
  const { authority, cart, order, live, server, call } = await pairOfServices();
  const before = live.cart.current.digest;
  const stop = load(call);
  for (let round = 0; round < 6; round++) {
    cart.take(await newLeaf(authority, "cart"));
    await seen();
    order.take(await newLeaf(authority, "order"));
    await seen();
  }
  const { failures, calls } = await stop();
  expect(failures).toEqual([]);
  expect(calls).toBeGreaterThan(500);
  expect(live.cart.current.digest).not.toBe(before);
  // each change of its own certificate gives the caller one new connection, and the old ones end
  await seen();
  expect(server.sessions.size).toBe(1);
});

test("the authority changes from old to both to new under load without one failed call", async () => {
  const { authority, cart, order, live, call } = await pairOfServices();
  const next = await newAuthority("New CA");
  const stop = load(call);
  for (const files of [cart, order]) files.trust(authority, next);
  await seen();
  for (const [name, files] of [
    ["cart", cart],
    ["order", order],
  ] as const)
    files.take(await newLeaf(next, name));
  await seen();
  for (const files of [order, cart]) files.trust(next);
  await seen();
  const { failures, calls } = await stop();
  expect(failures).toEqual([]);
  expect(calls).toBeGreaterThan(100);
  expect(live.order.current.authorities.length).toBe(1);
});

/** A client that keeps its one connection whatever it is told. */
function stubbornClient(url: string, { certificate: cert, key }: Pair) {
  const session = connect(url, {
    ...{ cert, key, rejectUnauthorized: false },
    checkServerIdentity: () => undefined,
  });
  session.on("error", () => {});
  return () =>
    new Promise<number | "closed">((resolve) => {
      if (session.destroyed || session.closed) return resolve("closed");
      const stream = session.request({ ":path": "/" });
      stream.on("response", (headers) => resolve(Number(headers[":status"])));
      stream.on("error", () => resolve("closed"));
      stream.on("close", () => resolve("closed"));
    });
}

test("a client of a removed authority is refused on a connection that is open", async () => {
  const { authority, cart, server } = await pairOfServices();
  const next = await newAuthority("New CA");
  const ask = stubbornClient(server.url, await newLeaf(authority, "order"));
  expect(await ask()).toBe(201);
  cart.trust(authority, next);
  cart.take(await newLeaf(next, "cart"));
  await seen();
  expect(await ask()).toBe(201);
  expect(server.sessions.size).toBe(1);
  cart.trust(next);
  await seen();
  expect(server.sessions.size).toBe(0);
  expect(await ask()).toBe("closed");
  expect(server.callers.length).toBe(2);
});

test("a client is refused on a connection that is open when its certificate has ended", async () => {
  const { authority, server } = await pairOfServices();
  const ask = stubbornClient(server.url, await newLeaf(authority, "order", { to: inSeconds(2) }));
  expect(await ask()).toBe(201);
  await Bun.sleep(2_500);
  expect(await ask()).toBe("closed");
  expect(server.callers.length).toBe(1);
});

test("a caller goes on with its new certificate when the old one has ended", async () => {
  const { authority, order, call } = await pairOfServices();
  order.take(await newLeaf(authority, "order", { to: inSeconds(2) }));
  await seen();
  expect((await call()).status).toBe(201);
  order.take(await newLeaf(authority, "order"));
  await Bun.sleep(2_500);
  expect((await call()).status).toBe(201);
});

test("a caller takes a new connection when the certificate of the service has ended", async () => {
  const { authority, cart, call, server } = await pairOfServices();
  cart.take(await newLeaf(authority, "cart", { to: inSeconds(2) }));
  await seen();
  expect((await call()).status).toBe(201);
  const [before] = server.sessions;
  cart.take(await newLeaf(authority, "cart"));
  await Bun.sleep(2_500);
  expect((await call()).status).toBe(201);
  expect([...server.sessions]).not.toContain(before!);
});

test("a server of a removed authority gets no further request over a connection that is open", async () => {
  const { authority, order, server, call } = await pairOfServices();
  const next = await newAuthority("New CA");
  order.trust(authority, next);
  order.take(await newLeaf(next, "order"));
  await seen();
  // this server trusts the old one alone, and refuses the caller's new certificate
  expect(await call().catch((error) => error)).toBeInstanceOf(Error);
  order.take(await newLeaf(authority, "order"));
  await seen();
  expect((await call()).status).toBe(201);
  const heard = server.callers.length;
  order.take(await newLeaf(next, "order"));
  order.trust(next);
  await seen();
  expect(await call().catch((error) => error)).toBeInstanceOf(NotSent);
  expect(server.callers.length).toBe(heard);
});
