import { describe, expect, test } from "bun:test";
import type { Registry } from "@mall/kernel/registry/port";
import { serviceNames } from "@mall/kernel/topology";
import { createGateway } from "./service";

const seen: { service: string; path: string; body: string; headers: Headers }[] = [];
const registry = {
  fetch: (service: string) => async (request: Request) => {
    const { pathname: path } = new URL(request.url);
    seen.push({ service, path, body: await request.text(), headers: request.headers });
    return new Response("taken", { status: 489, headers: { "upstash-nonretryable-error": "true" } });
  },
} as unknown as Registry;
const { fetch } = createGateway({ env: { LOG_LEVEL: "silent" }, registry, docsAsset: async () => undefined });
const post = (path: string, body: string, headers: Record<string, string> = {}) =>
  fetch(new Request(`https://shop.example.com${path}`, { method: "POST", body, headers }));

test("QStash's deliveries and reports reach their service byte by byte, with their signature, and so do the answers", async () => {
  for (const path of ["/_events/user", "/_events/user/failed"]) {
    const body = '{ "data" :  {"é":\t1}}';
    const response = await post(path, body, { "upstash-signature": "signed", "x-service-token": "forged" });
    expect([response.status, response.headers.get("upstash-nonretryable-error")]).toEqual([489, "true"]);
    const one = seen.at(-1)!;
    expect([one.service, one.path, one.body]).toEqual(["user", path, body]);
    expect(one.headers.get("upstash-signature")).toBe("signed");
    expect(one.headers.get("x-service-token")).toBeNull();
  }
});

describe("QStash's schedule", () => {
  /** Asks with a signature; each service answers by its name, 204 where it is not in the list. */
  async function ask(answers: Record<string, number>) {
    const asked: string[] = [];
    const registry = {
      fetch: (service: string) => async (request: Request) => {
        const { pathname } = new URL(request.url);
        expect([pathname, request.headers.get("upstash-signature"), await request.text()]).toEqual([
          "/_sweeps",
          "signed",
          "",
        ]);
        asked.push(service);
        return new Response(null, { status: answers[service] ?? 204 });
      },
    } as unknown as Registry;
    const env = { LOG_LEVEL: "silent" };
    const gateway = createGateway({ env, registry, docsAsset: async () => undefined });
    const headers = { "upstash-signature": "signed" };
    const request = new Request("https://shop.example.com/_sweeps", { method: "POST", headers });
    return { status: (await gateway.fetch(request)).status, asked };
  }

  test("reaches every service once", async () => {
    expect(await ask({})).toEqual({ status: 204, asked: [...serviceNames] });
  });

  test("that was not signed by QStash reaches one, which finds it out", async () => {
    expect(await ask({ auth: 401 })).toEqual({ status: 401, asked: ["auth"] });
  });

  test("reaches all when some of them fail, and QStash is told", async () => {
    expect(await ask({ auth: 503, order: 500 })).toEqual({ status: 503, asked: [...serviceNames] });
    expect((await ask({ order: 500 })).status).toBe(500);
  });
});

test("nobody else's events have a way in: not an unknown service's, not those of services among themselves", async () => {
  const count = seen.length;
  const paths = ["/_events/nobody", "/_events/gateway", "/_events/user/other", "/_events", "/events"];
  for (const path of paths) expect((await post(path, "{}")).status).toBe(404);
  const get = new Request("https://shop.example.com/_events/user");
  expect((await fetch(get)).status).toBe(404);
  const large = await post("/_events/user", "x".repeat(4 * 1024 * 1024 + 1), {
    "content-length": String(4 * 1024 * 1024 + 1),
  });
  expect(large.status).toBe(413);
  expect(seen.length).toBe(count);
});
