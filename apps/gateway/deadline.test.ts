import { expect, test } from "bun:test";
import { remoteRegistry } from "@mall/kernel/registry/remote";
import { createGateway } from "./service";

/** A gateway before two instances of everything, the first of which never answers. */
function gateway() {
  const seen: { url: string; path: string; timeoutMs: string | null; isAborted: () => boolean }[] = [];
  const registry = remoteRegistry({
    discovery: {
      ...{ announce: async () => {}, withdraw: async () => {}, isKnowing: () => true, close: () => {} },
      instances: () => instances,
    },
    dial({ url }, { path, headers, signal }) {
      seen.push({ url, path, timeoutMs: headers.get("connect-timeout-ms"), isAborted: () => signal.aborted });
      if (url === "http://well") return Promise.resolve(Response.json({ well: true }));
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    },
  });
  const instances = [{ id: "hangs", url: "http://hangs" }];
  const { fetch } = createGateway({
    env: { LOG_LEVEL: "silent" },
    registry,
    docsAsset: async () => undefined,
  });
  const ask = (path: string, method = "GET", headers: Record<string, string> = {}, signal?: AbortSignal) =>
    fetch(new Request(`http://mall${path}`, { method, headers, signal }));
  return { seen, ask, another: () => void instances.push({ id: "well", url: "http://well" }) };
}

test("a client has its answer when it said it would go, on every surface", async () => {
  const { ask, seen } = gateway();
  const timed = { "connect-timeout-ms": "300" };
  for (const [method, path, headers] of [
    ["GET", "/v1/products", timed],
    ["POST", "/v1/carts", timed],
    ["POST", "/mall.product.v1.ProductService/ListProducts", timed],
    ["POST", "/mall.product.v1.ProductService/ListProducts", { "grpc-timeout": "300m" }],
  ] as const) {
    const response = await ask(path, method, headers);
    const body = (await response.json()) as { code?: string; reason?: string };
    expect([response.status, body.reason ?? body.code]).toEqual([
      504,
      path.startsWith("/v1") ? "DEADLINE_EXCEEDED" : "deadline_exceeded",
    ]);
  }
  expect(seen.map(({ timeoutMs }) => timeoutMs)).toEqual(["300", "300", "300", null]);
  expect(seen.every(({ isAborted }) => isAborted())).toBe(true);
});

test("what a client asked for ends when it goes away", async () => {
  for (const [path, timeoutMs] of [
    // the service knows its own time limit, which may change while it runs
    ["/v1/me", null],
    ["/v1/products", "5000"],
  ] as const) {
    const { ask, seen } = gateway();
    const client = new AbortController();
    const asked = ask(path, "GET", {}, client.signal);
    while (seen.length === 0) await Bun.sleep(1);
    expect([seen[0]!.timeoutMs, seen[0]!.isAborted()]).toEqual([timeoutMs, false]);
    client.abort();
    await asked;
    expect(seen[0]!.isAborted()).toBe(true);
  }
});

test("a time limit that is none is refused", async () => {
  const { ask, seen } = gateway();
  for (const path of ["/v1/products", "/mall.product.v1.ProductService/ListProducts"]) {
    for (const text of ["soon", "-1", "1e3", "99999999999"]) {
      const response = await ask(path, "POST", { "connect-timeout-ms": text });
      expect([path, response.status]).toEqual([path, 400]);
    }
  }
  expect(seen).toEqual([]);
});

test("what may be repeated is asked of another instance when the first is slow, and nothing else", async () => {
  const { ask, seen, another } = gateway();
  another();
  const timed = { "connect-timeout-ms": "2500" };
  const reads = ["/v1/products", "/v1/products", "/.well-known/jwks.json"];
  for (let i = 0; i < 12; i++) {
    const response = await ask(reads[i % 3]!, "GET", timed);
    expect(response.status).toBe(200);
  }
  expect(seen.length).toBeGreaterThan(12);
  seen.length = 0;
  const short = { "connect-timeout-ms": "1300" };
  for (let i = 0; i < 6; i++) expect((await ask("/v1/carts", "POST", short)).status).toBeOneOf([200, 504]);
  expect(seen.length).toBe(6);
});
