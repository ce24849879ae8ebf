import { describe, expect, test } from "bun:test";
import type { Registry } from "@mall/kernel/registry/port";
import { createGateway } from "./service";

const text = '{"id":"evt_1",  "data":{"name":"Zoë 🔑"}}\r\n';

/** A gateway whose services keep what they are sent. */
function gateway() {
  const seen: { service: string; path: string; body: string; headers: Headers }[] = [];
  const registry = {
    fetch: (service: string) => async (request: Request) => {
      const { pathname: path } = new URL(request.url);
      seen.push({ service, path, body: await request.text(), headers: request.headers });
      return Response.json({ received: true });
    },
    transport: () => ({}),
  } as unknown as Registry;
  const env = { MALL_ENV: "test", LOG_LEVEL: "silent" };
  const { fetch } = createGateway({ env, registry, docsAsset: async () => undefined });
  return { seen, fetch };
}

const post = (body: string, headers: Record<string, string> = {}) =>
  new Request("http://mall/webhooks/payments/stripe", { method: "POST", body, headers });

describe("a provider's message", () => {
  test("reaches the payment service byte by byte, with its signature and without a claimed identity", async () => {
    const { seen, fetch } = gateway();
    const headers = { "stripe-signature": "t=1,v1=abc", "x-service-token": "forged", "x-user-id": "usr_1" };
    expect((await fetch(post(text, headers))).status).toBe(200);
    expect(seen.map(({ service, path, body }) => [service, path, body])).toEqual([
      ["payment", "/webhooks/payments/stripe", text],
    ]);
    expect(seen[0]!.headers.get("stripe-signature")).toBe("t=1,v1=abc");
    expect([seen[0]!.headers.get("x-service-token"), seen[0]!.headers.get("x-user-id")]).toEqual([
      null,
      null,
    ]);
  });

  test("of more than 256 KiB is refused here", async () => {
    const { seen, fetch } = gateway();
    const length = String(256 * 1024 + 1);
    const answer = await fetch(post("x".repeat(Number(length)), { "content-length": length }));
    expect([answer.status, seen.length]).toEqual([413, 0]);
  });

  test("is taken by POST only", async () => {
    const { seen, fetch } = gateway();
    expect((await fetch(new Request("http://mall/webhooks/payments/stripe"))).status).toBe(404);
    expect(seen).toEqual([]);
  });
});
