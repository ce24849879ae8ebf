import { describe, expect, test } from "bun:test";
import { connect, createSecureServer } from "node:http2";
import { eachBounded } from "../concurrency";
import { NotSent } from "../registry/port";
import {
  hoursFromNow,
  newAuthority,
  newLeaf,
  testCredentials,
  testFiles,
  trustDomain,
} from "../testing/certificates";
import { caller, echoServer } from "../testing/mtls";
import { freePorts } from "../testing/ports";
import type { Pair } from "./authority";

const [authority, foreign] = [await newAuthority(), await newAuthority("Foreign CA")];
const idOf = (name: string) => `spiffe://${trustDomain}/${name}`;
const cart = testCredentials(testFiles([authority], await newLeaf(authority, "cart")));
const order = testCredentials(testFiles([authority], await newLeaf(authority, "order")));

/** Certificates that nobody may believe, whichever side shows them. They name the service that would be right. */
async function badPairs(name: "cart" | "order"): Promise<Record<string, Pair>> {
  const leaf = (other: Parameters<typeof newLeaf>[2]) => newLeaf(authority, name, other);
  const good = await leaf({});
  return {
    "of a foreign authority": await newLeaf(foreign, name),
    "of an authority with the same name": await newLeaf(await newAuthority(), name),
    "issued by a leaf": await newLeaf(good, name),
    expired: await leaf({ from: hoursFromNow(-2), to: hoursFromNow(-0.001) }),
    "not yet valid": await leaf({ from: hoursFromNow(0.1), to: hoursFromNow(1) }),
    "for no usage": await leaf({ usages: [] }),
    "with two services": await leaf({ uris: [idOf(name), idOf("checkout")] }),
    "with its service twice": await leaf({ uris: [idOf(name), idOf(name)] }),
    "without a name": await leaf({ uris: [] }),
    "of nobody we know": await leaf({ uris: [idOf("nobody")] }),
    "of another trust domain": await leaf({ uris: [`spiffe://other.mall/${name}`] }),
    "with more than a name": await leaf({ uris: [`${idOf(name)}/admin`] }),
    "with a name in capitals": await leaf({ uris: [idOf(name.toUpperCase())] }),
  };
}

/** One try with a client that obeys nothing of ours. Returns whether an answer came. */
function tryAsClient(url: string, pair: Pair | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const session = connect(url, {
      ...(pair ? { cert: pair.certificate, key: pair.key } : {}),
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    const end = (accepted: boolean) => {
      resolve(accepted);
      session.destroy();
    };
    session.on("error", () => end(false));
    session.on("close", () => end(false));
    session.on("goaway", () => end(false));
    const stream = session.request({ ":path": "/things", ":method": "GET" });
    stream.on("response", () => end(true));
    stream.on("error", () => end(false));
    stream.on("close", () => end(false));
  });
}

/** A server with a certificate like this, which lets everybody in. Counts the requests it got. */
async function evilServer({ certificate: cert, key }: Pair) {
  const [port] = (await freePorts(1)) as [number];
  let requests = 0;
  const server = createSecureServer(
    { cert, key, requestCert: true, rejectUnauthorized: false },
    (_, response) => {
      requests++;
      response.end("mine now");
    },
  );
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { url: `https://127.0.0.1:${port}`, requests: () => requests, stop: () => server.close() };
}

const tries = { all: 500, atOnce: 20 };

describe("as server", () => {
  test("500 tries with wrong certificates, 20 at once: none is accepted", async () => {
    const server = await echoServer(cart);
    const bad: (readonly [string, Pair | undefined])[] = [
      ...Object.entries(await badPairs("order")),
      ["for servers only", await newLeaf(authority, "order", { usages: ["server"] })],
      ["none at all", undefined],
    ];
    const accepted: string[] = [];
    await eachBounded([...Array(tries.all).keys()], tries.atOnce, async (i) => {
      const [kind, pair] = bad[i % bad.length]!;
      if (await tryAsClient(server.url, pair)) accepted.push(kind);
    });
    expect(accepted).toEqual([]);
    expect(server.callers).toEqual([]);
    // the same client with a good certificate gets in, and so do others after all this
    expect(await tryAsClient(server.url, await newLeaf(authority, "order"))).toBe(true);
    expect((await caller(order, "cart", server.url)()).status).toBe(201);
  });

  test("a wrong certificate does not keep a connection open, though it asks for nothing", async () => {
    const server = await echoServer(cart);
    const { certificate: cert, key } = await newLeaf(authority, "order", { uris: [] });
    const session = connect(server.url, { cert, key, rejectUnauthorized: false });
    session.on("error", () => {});
    await new Promise((resolve) => session.once("close", resolve));
    expect(server.sessions.size).toBe(0);
  });

  test("without TLS, or with an older one, nobody is heard", async () => {
    const server = await echoServer(cart);
    const plain = await fetch(server.url.replace("https", "http")).then(
      () => "answered",
      () => "refused",
    );
    const { certificate, key } = await newLeaf(authority, "order");
    const older = await new Promise((resolve) => {
      const session = connect(server.url, {
        ...{ cert: certificate, key, rejectUnauthorized: false, maxVersion: "TLSv1.2" },
      });
      session.once("connect", () => resolve("connected"));
      session.once("error", () => resolve("refused"));
    });
    expect({ plain, older, heard: server.callers }).toEqual({
      plain: "refused",
      older: "refused",
      heard: [],
    });
  });
});

describe("as client", () => {
  test("500 tries of wrong servers, 20 at once: none hears a request", async () => {
    const bad = {
      ...(await badPairs("cart")),
      "for clients only": await newLeaf(authority, "cart", { usages: ["client"] }),
      "another service": await newLeaf(authority, "product"),
    };
    const servers = await Promise.all(
      Object.entries(bad).map(async ([kind, pair]) => ({ kind, ...(await evilServer(pair)) })),
    );
    const notRefused: string[] = [];
    await eachBounded([...Array(tries.all).keys()], tries.atOnce, async (i) => {
      const { kind, url } = servers[i % servers.length]!;
      const error = await caller(order, "cart", url)("/secret").catch((thrown) => thrown);
      if (!(error instanceof NotSent)) notRefused.push(kind);
    });
    expect(notRefused).toEqual([]);
    expect(servers.filter(({ requests }) => requests() > 0).map(({ kind }) => kind)).toEqual([]);
    const good = await evilServer(await newLeaf(authority, "cart"));
    expect(await (await caller(order, "cart", good.url)()).text()).toBe("mine now");
    for (const { stop } of [...servers, good]) stop();
  });
});
