import { beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { connect } from "node:tls";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { jsonLog } from "../log";
import type { Pair } from "../mtls/authority";
import { type EdgeCertificate, edgeCertificate } from "../mtls/edge";
import type { Live } from "../mtls/live";
import { newAuthority, newLeaf, replaceFile, type TestFiles, testFiles } from "../testing/certificates";
import { atEnd } from "../testing/cleanup";
import type { Fetch } from "./drain";
import { serveGrpcs, serveHttps } from "./https";

const silent = jsonLog("test", "silent");
let authority: Pair;
beforeAll(async () => {
  authority = await newAuthority();
});

const edgeFiles = ({ TLS_CERT, TLS_KEY }: TestFiles) => ({ EDGE_TLS_CERT: TLS_CERT, EDGE_TLS_KEY: TLS_KEY });

const atOnce: Fetch = async () => Response.json({ served: true });

/** Servers on both ports whose certificate can be changed. */
async function served(answer = atOnce) {
  const files = testFiles([authority], await newLeaf(authority, "gateway"));
  const live = edgeCertificate(edgeFiles(files), silent, 20) as Live<EdgeCertificate>;
  const http = await serveHttps(answer, live, 0, "127.0.0.1");
  const grpc = await serveGrpcs(
    (router) => void router.service(PolicyService, { getPolicy: () => ({}) }),
    ...([answer, live, 0, "127.0.0.1"] as const),
  );
  atEnd(async () => {
    live.stop();
    await http.stop();
    await grpc.stop();
  });
  return { files, live, http, ports: { http: http.port, grpc: grpc.port } };
}

/** Serial number of the certificate that a new connection is shown. */
function shownAt(port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { port, host: "127.0.0.1", ca: authority.certificate, ALPNProtocols: ["h2", "http/1.1"] };
  const socket = connect({ ...options, checkServerIdentity: () => undefined }, () => {
    resolve(socket.getPeerCertificate().serialNumber);
    socket.destroy();
  });
  socket.on("error", reject);
  return promise;
}

const tls = () => ({ ca: authority.certificate, checkServerIdentity: () => undefined });

describe("a gateway with a certificate", () => {
  test("serves https, and gRPC over TLS", async () => {
    const { ports } = await served();
    const answer = await fetch(`https://127.0.0.1:${ports.http}/`, { tls: tls() });
    expect(await answer.json()).toEqual({ served: true });
    const baseUrl = `https://127.0.0.1:${ports.grpc}`;
    const client = createClient(PolicyService, createGrpcTransport({ baseUrl, nodeOptions: tls() }));
    expect((await client.getPolicy({})).$typeName).toBe("mall.auth.v1.GetPolicyResponse");
    expect(await fetch(`http://127.0.0.1:${ports.http}/`).catch(() => "refused")).toBe("refused");
  });

  test("changes it while it serves: no request fails, and connections from then on are shown the new one", async () => {
    const { files, ports } = await served();
    const former = await shownAt(ports.http);
    expect(await shownAt(ports.grpc)).toBe(former);
    let failed = 0;
    let isOver = false;
    const requests = async (keepalive: boolean) => {
      for (; !isOver; await Bun.sleep(1)) {
        const answer = fetch(`https://127.0.0.1:${ports.http}/`, { tls: tls(), keepalive });
        if (!(await answer.then(({ ok }) => ok).catch(() => false))) failed++;
      }
    };
    const customers = Promise.all([requests(true), requests(true), requests(false)]);
    for (let n = 0; n < 3; n++) {
      const before = await shownAt(ports.http);
      files.take(await newLeaf(authority, "gateway"));
      for (let tries = 0; tries < 200 && (await shownAt(ports.http)) === before; tries++) await Bun.sleep(20);
      expect(await shownAt(ports.http)).not.toBe(before);
      expect(await shownAt(ports.grpc)).toBe(await shownAt(ports.http));
    }
    isOver = true;
    await customers;
    expect(failed).toBe(0);
  });

  test("ends when the last request is answered; a connection without one does not hold it up", async () => {
    const asked = Promise.withResolvers<void>();
    const { http, ports } = await served(async ({ url }) => {
      if (url.endsWith("/slow")) asked.resolve();
      if (url.endsWith("/slow")) await Bun.sleep(300);
      return Response.json({ served: true });
    });
    const ask = (path: string) => fetch(`https://127.0.0.1:${ports.http}${path}`, { tls: tls() });
    await (await ask("/")).text();
    // not even a handshake
    const silentOne = connectTcp(ports.http, "127.0.0.1");
    atEnd(async () => void silentOne.destroy());
    silentOne.on("error", () => {});
    await once(silentOne, "connect");
    const slow = ask("/slow");
    await asked.promise;
    const ended = http.stop().then(() => "ended");
    expect(await (await slow).json()).toEqual({ served: true });
    expect(await Promise.race([ended, Bun.sleep(5_000)])).toBe("ended");
  });

  test("tells who answers when the caller has gone", async () => {
    const [asked, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()];
    const { ports } = await served(async ({ signal }) => {
      signal.addEventListener("abort", () => gone.resolve("gone"));
      asked.resolve();
      await gone.promise;
      return new Response();
    });
    const caller = new AbortController();
    const options = { tls: tls(), signal: caller.signal };
    const answer = fetch(`https://127.0.0.1:${ports.http}/`, options).catch(() => "cancelled");
    await asked.promise;
    caller.abort();
    expect(await answer).toBe("cancelled");
    expect(await Promise.race([gone.promise, Bun.sleep(5_000)])).toBe("gone");
  });

  test("keeps it when the files cannot be used", async () => {
    const { files, ports } = await served();
    const former = await shownAt(ports.http);
    replaceFile(files.TLS_CERT, "half a file", 0o644);
    await Bun.sleep(200);
    expect([await shownAt(ports.http), await shownAt(ports.grpc)]).toEqual([former, former]);
  });
});

describe("a gateway does not start", () => {
  const startOf = (files: Parameters<typeof edgeCertificate>[0]) => {
    try {
      edgeCertificate(files, silent)?.stop();
      return "";
    } catch (error) {
      return String(error);
    }
  };

  test("with half a pair, a key that others may read, or one of another certificate", async () => {
    const files = testFiles([authority], await newLeaf(authority, "gateway"));
    const edge = edgeFiles(files);
    expect(startOf({ EDGE_TLS_CERT: "", EDGE_TLS_KEY: "" })).toBe("");
    expect(startOf(edge)).toBe("");
    expect(startOf({ ...edge, EDGE_TLS_KEY: "" })).toContain("EDGE_TLS_KEY: must be set");
    chmodSync(files.TLS_KEY, 0o644);
    expect(startOf(edge)).toMatch(/EDGE_TLS_KEY: \S+ can be read by others/);
    replaceFile(files.TLS_KEY, (await newLeaf(authority, "gateway")).key, 0o600);
    expect(startOf(edge)).toMatch(/EDGE_TLS_KEY: \S+ is not the key/);
  });
});
