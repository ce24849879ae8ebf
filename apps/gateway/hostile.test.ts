import { afterAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { serveHttp } from "@mall/kernel/host/bun";
import { serveHttps } from "@mall/kernel/host/https";
import type { Registry } from "@mall/kernel/registry/port";
import { newAuthority, newLeaf } from "@mall/kernel/testing/certificates";
import { requestLimits } from "./request-limits";
import { createGateway } from "./service";

const seen: { path: string; bytes: number }[] = [];
const registry = {
  fetch: () => async (request: Request) => {
    seen.push({ path: new URL(request.url).pathname, bytes: (await request.arrayBuffer()).byteLength });
    return Response.json({ served: true });
  },
  transport: () => ({}),
} as unknown as Registry;

const gatewayOf = (env: Record<string, string> = {}) =>
  createGateway({
    env: { MALL_ENV: "test", LOG_LEVEL: "silent", ...env },
    registry,
    docsAsset: async () => undefined,
  });
const gateway = gatewayOf();
const server = serveHttp(gateway.fetch, 0, "127.0.0.1");
const { certificate: cert, key } = await newLeaf(await newAuthority(), "gateway");
const always = { validFrom: new Date(0), validTo: new Date(0), digest: "" };
const fixed = { current: { cert, key, ...always }, onChange: () => {}, stop: () => {} };
const tlsServer = await serveHttps(gateway.fetch, fixed, 0, "127.0.0.1");
afterAll(() => Promise.all([server.stop(true), tlsServer.stop()]));

/** How a connection of its own to the gateway is opened. */
const fronts = {
  HTTP: () => connect(server.port!, "127.0.0.1"),
  HTTPS: () => connectTls({ port: tlsServer.port, host: "127.0.0.1", rejectUnauthorized: false }),
};
const frontNames = ["HTTP", "HTTPS"] as const;
const urls = { HTTP: `http://127.0.0.1:${server.port}`, HTTPS: `https://127.0.0.1:${tlsServer.port}` };
const tls = { rejectUnauthorized: false };
const posting = { method: "POST", tls };

/** A connection of its own, on which a text is sent, and then again and again another one. */
function raw(text: string, drip?: { text: string; everyMs: number }, front: keyof typeof fronts = "HTTP") {
  const socket = fronts[front]();
  let received = "";
  let timer: ReturnType<typeof setInterval> | undefined;
  socket.on(front === "HTTP" ? "connect" : "secureConnect", () => {
    socket.write(text);
    if (drip) timer = setInterval(() => socket.write(drip.text), drip.everyMs);
  });
  socket.on("data", (data) => {
    received += data;
  });
  socket.on("error", () => {});
  const closed = new Promise<string>((resolve) => {
    socket.on("close", () => {
      clearInterval(timer);
      resolve(received);
    });
  });
  return { closed, received: () => received, end: () => socket.destroy() };
}

const head = (...lines: string[]) =>
  `${["POST /v1/carts HTTP/1.1", "Host: mall", ...lines].join("\r\n")}\r\n\r\n`;
const inside = "GET /v1/products HTTP/1.1\r\nHost: mall\r\n\r\n";

describe.each(frontNames)("a request that two servers would read differently, over %s", (front) => {
  const attacks: Record<string, string> = {
    "Content-Length and Transfer-Encoding": `${head("Content-Length: 5", "Transfer-Encoding: chunked")}0\r\n\r\n${inside}`,
    "two lengths": `${head("Content-Length: 1", "Content-Length: 44")}x${inside}`,
    "a coding that is nearly chunked": `${head("Transfer-Encoding: xchunked")}0\r\n\r\n${inside}`,
    "a space before the colon": `${head("Transfer-Encoding : chunked", "Content-Length: 5")}0\r\n\r\n${inside}`,
    "a folded header": head("X: a", " Content-Length: 5") + inside,
    "no host": `POST /v1/carts HTTP/1.1\r\n\r\n${inside}`,
    "bare line feeds": `POST /v1/carts HTTP/1.1\nHost: mall\nContent-Length: 0\n\n${inside}`,
  };
  for (const [name, text] of Object.entries(attacks)) {
    test(`is refused: ${name}`, async () => {
      seen.length = 0;
      const answer = await raw(text, undefined, front).closed;
      expect(answer).toMatch(/^HTTP\/1\.1 (400|505) /);
      expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
      expect(seen).toEqual([]);
    });
  }
});

describe.each(frontNames)("a body over %s", (front) => {
  const chunked = (bytes: number) => {
    let sent = 0;
    return new ReadableStream({
      pull(controller) {
        if (sent >= bytes) return controller.close();
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
  };

  test("that says no length is passed on whole, and one that is too large not at all", async () => {
    seen.length = 0;
    const post = (bytes: number) => fetch(`${urls[front]}/v1/carts`, { ...posting, body: chunked(bytes) });
    expect((await post(1024 * 1024)).status).toBe(200);
    expect(seen).toEqual([{ path: "/v1/carts", bytes: 1024 * 1024 }]);
    const refused = await post(1024 * 1024 + 65_536);
    expect([refused.status, await refused.json()]).toMatchObject([413, { reason: "PAYLOAD_TOO_LARGE" }]);
    expect(seen).toHaveLength(1);
  });

  test("of a GiB costs its sender a connection, and nobody else anything", async () => {
    seen.length = 0;
    const body = chunked(1024 ** 3);
    const answer = await fetch(`${urls[front]}/v1/carts`, { ...posting, body }).catch(() => undefined);
    expect(answer?.status ?? 413).toBe(413);
    expect(seen).toEqual([]);
  });

  test("that comes slowly keeps nobody waiting, and not for long", async () => {
    seen.length = 0;
    const drip = { text: " ", everyMs: 500 };
    const slow = raw(head("Content-Length: 5000", "Content-Type: application/json"), drip, front);
    await Bun.sleep(requestLimits.bodyMs - 1_000);
    expect(slow.received()).toBe("");
    for (const untilMs = Date.now() + 20_000; slow.received() === "" && Date.now() < untilMs; )
      await Bun.sleep(50);
    expect(slow.received()).toStartWith("HTTP/1.1 408 ");
    expect(slow.received()).toContain("REQUEST_TIMEOUT");
    expect(seen).toEqual([]);
    slow.end();
  });
});

describe("a head that is too large", () => {
  test.each(frontNames)("is refused before it is read by %s", async (front) => {
    const line = `GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: mall\r\n\r\n`;
    expect(await raw(line, undefined, front).closed).toStartWith("HTTP/1.1 431");
  });

  test("is refused, in whichever part", async () => {
    seen.length = 0;
    const ask = async (path: string, headers: Record<string, string> = {}) => {
      const response = await gateway.fetch(new Request(`http://mall${path}`, { headers }));
      return [response.status, ((await response.json()) as { reason?: string }).reason];
    };
    expect(await ask(`/v1/products?q=${"x".repeat(requestLimits.urlLengthMax)}`)).toEqual([
      414,
      "URI_TOO_LONG",
    ]);
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`x-${i}`, "x".repeat(1_000)]));
    expect(await ask("/v1/products", many)).toEqual([431, "HEADERS_TOO_LARGE"]);
    expect(seen).toEqual([]);
  });
});

describe.each(frontNames)("200 slow connections over %s", (front) => {
  const p95 = (samples: number[]) => samples.toSorted((a, b) => a - b)[Math.floor(samples.length * 0.95)]!;

  async function measured(): Promise<number> {
    const samples: number[] = [];
    for (let i = 0; i < 300; i++) {
      const startedMs = performance.now();
      await (await fetch(`${urls[front]}/v1/products`, { tls })).text();
      samples.push(performance.now() - startedMs);
    }
    return p95(samples);
  }

  test("do not slow the others down, and are closed", async () => {
    await measured();
    const header = { text: "X-a: b\r\n", everyMs: 300 };
    let ratio = Number.POSITIVE_INFINITY;
    // what else the machine does comes and goes; what slow clients cost would stay
    for (let round = 0; round < 3 && ratio > 2; round++) {
      const before = await measured();
      const slow = Array.from({ length: 200 }, (_, i) =>
        i % 2
          ? raw("GET /v1/products HTTP/1.1\r\nHost: mall\r\n", header, front)
          : raw(head("Content-Length: 5000"), header, front),
      );
      await Bun.sleep(500);
      ratio = (await measured()) / before;
      for (const one of slow) one.end();
    }
    expect(ratio).toBeLessThan(2);
    const heads = Array.from({ length: 20 }, () =>
      raw("GET /v1/products HTTP/1.1\r\nHost: mall\r\n", header, front),
    );
    const silent = connect(Number(new URL(urls[front]).port), "127.0.0.1");
    const over = new Promise<string>((resolve) => void silent.on("close", () => resolve("")));
    const all = Promise.all([...heads.map(({ closed }) => closed), over]);
    expect(await Promise.race([all, Bun.sleep(30_000)])).toHaveLength(21);
  });
});

describe("a browser is told", () => {
  const headersOf = async (origin: string | undefined, env: Record<string, string>, method = "GET") => {
    const headers: Record<string, string> = origin ? { origin, "access-control-request-method": "POST" } : {};
    const request = new Request("http://mall/v1/products", { method, headers });
    return (await gatewayOf(env).fetch(request)).headers;
  };
  const production = { MALL_ENV: "production", MALL_MASTER_KEY: "f3X9qLmZ7vT2wRk8YbN4sHc6JdPa5EgU" };

  test("that it may call from the listed origins and no other, without its own credentials", async () => {
    const listed = { ...production, CORS_ORIGINS: "https://shop.example, https://admin.example" };
    for (const method of ["GET", "OPTIONS"]) {
      const allowed = async (origin: string, env: Record<string, string> = listed) => {
        const headers = await headersOf(origin, env, method);
        expect(headers.get("access-control-allow-credentials")).toBeNull();
        return headers.get("access-control-allow-origin");
      };
      expect(await allowed("https://admin.example")).toBe("https://admin.example");
      for (const evil of ["https://evil.example", "https://shop.example.evil", "http://shop.example", "null"])
        expect(await allowed(evil)).toBeNull();
      expect(await allowed("https://evil.example", production)).toBeNull();
      expect(await allowed("https://evil.example", {})).toBe("*");
    }
    expect((await headersOf("https://shop.example", listed)).get("vary")).toContain("Origin");
  });

  test("to frame, sniff, run and pass on nothing, on errors as well", async () => {
    for (const path of ["/v1/products", "/gone", "/problems/x", "/livez"]) {
      const { headers } = await gateway.fetch(new Request(`http://mall${path}`));
      expect(headers.get("content-security-policy")).toBe("default-src 'none'; frame-ancestors 'none'");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("x-frame-options")).toBe("DENY");
      expect(headers.get("referrer-policy")).toBe("no-referrer");
      expect(headers.get("strict-transport-security")).toContain("max-age=");
    }
    const docs = await gateway.fetch(new Request("http://mall/docs"));
    expect(docs.headers.get("content-security-policy")).toContain("script-src");
  });
});
