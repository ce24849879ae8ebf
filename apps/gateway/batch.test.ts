import { describe, expect, test } from "bun:test";
import type { Registry } from "@mall/kernel/registry/port";
import { batchLimits } from "./batch";
import { createGateway } from "./service";

interface Answer {
  id: string;
  status: number;
  headers: Record<string, string>;
  body: Record<string, unknown> | string | null;
}

function gateway(env: Record<string, string> = {}) {
  const seen: { method: string; path: string; headers: Headers; body: string; service: string }[] = [];
  let running = 0;
  let mostAtOnce = 0;
  const registry = {
    fetch: (service: string) => async (request: Request) => {
      mostAtOnce = Math.max(mostAtOnce, ++running);
      const { pathname, search } = new URL(request.url);
      const body = await request.text();
      seen.push({ service, method: request.method, path: pathname + search, headers: request.headers, body });
      await Bun.sleep(1);
      running--;
      if (service === "cart") throw new TypeError("refused");
      if (pathname.endsWith("/none")) return Response.json({ reason: "NONE" }, { status: 404 });
      return Response.json({ of: service });
    },
    transport: () => ({}),
  } as unknown as Registry;
  const { fetch } = createGateway({
    env: { MALL_ENV: "test", LOG_LEVEL: "silent", ...env },
    registry,
    docsAsset: async () => undefined,
  });
  async function send(body: unknown, headers: Record<string, string> = {}) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const response = await fetch(
      new Request("http://mall/v1/batch", { method: "POST", body: text, headers }),
      "192.0.2.1",
    );
    const json = (await response.json()) as { responses?: Answer[]; errors?: { pointer: string }[] };
    return {
      status: response.status,
      answers: json.responses ?? [],
      pointers: json.errors?.map(({ pointer }) => pointer),
    };
  }
  const batch = (requests: unknown[], headers?: Record<string, string>) => send({ requests }, headers);
  return { seen, send, batch, mostAtOnce: () => mostAtOnce };
}

const get = (path: string, more: object = {}) => ({ method: "GET", path, ...more });

describe("a batch", () => {
  test("is answered part by part, in order, whatever becomes of the others", async () => {
    const { batch } = gateway();
    const { status, answers } = await batch([
      get("/v1/me", { id: "a" }),
      get("/v1/orders/none"),
      { id: "c", method: "POST", path: "/v1/carts", body: {} },
      get("/v1/unserved"),
      get("/v1/orders?pageSize=2"),
    ]);
    expect(status).toBe(200);
    expect(answers.map(({ id, status: each }) => [id, each])).toEqual([
      ["a", 200],
      ["", 404],
      ["c", 503],
      ["", 404],
      ["", 200],
    ]);
    expect(answers.map(({ body }) => body)).toMatchObject([
      { of: "user" },
      { reason: "NONE" },
      { reason: "SERVICE_UNAVAILABLE" },
      { reason: "ROUTE_NOT_FOUND" },
      { of: "order" },
    ]);
    expect(answers[2]!.headers["retry-after"]).toBe("1");
  });

  test("speaks for its sender: parts have its token and secrets, and keys and ids of their own", async () => {
    const { batch, seen } = gateway();
    const sender = {
      ...{
        authorization: "Bearer mine",
        "x-cart-secret": "cart",
        "idempotency-key": "outer",
        "x-user-id": "usr_1",
      },
      "connect-timeout-ms": "9000",
    };
    const order = { method: "POST", path: "/v1/checkouts", body: { cartId: "ä" } };
    await batch(
      [
        { ...order, headers: { "Idempotency-Key": "one" } },
        { ...order, headers: { "Idempotency-Key": "two", "X-Cart-Secret": "other" } },
        order,
      ],
      sender,
    );
    const headers = (name: string) => seen.map((request) => request.headers.get(name));
    expect(headers("authorization")).toEqual(Array(3).fill("Bearer mine"));
    expect(headers("idempotency-key").toSorted()).toEqual(["one", "two", null].toSorted());
    expect(headers("x-cart-secret").toSorted()).toEqual(["cart", "cart", "other"]);
    expect(headers("x-user-id")).toEqual([null, null, null]);
    expect(headers("x-client-address")).toEqual(Array(3).fill("192.0.2.1"));
    expect(headers("connect-timeout-ms")).toEqual(Array(3).fill("9000"));
    expect(new Set(headers("x-request-id")).size).toBe(3);
    expect(seen.map(({ body }) => body)).toEqual(Array(3).fill('{"cartId":"ä"}'));
  });

  test("has few parts, of which few run at once", async () => {
    const { batch, mostAtOnce, seen } = gateway();
    const { answers } = await batch(Array(batchLimits.partsMax).fill(get("/v1/me")));
    expect(answers).toHaveLength(batchLimits.partsMax);
    expect(mostAtOnce()).toBe(batchLimits.atOnceMax);
    seen.length = 0;
    expect((await batch(Array(batchLimits.partsMax + 1).fill(get("/v1/me")))).status).toBe(400);
    expect(seen).toEqual([]);
  });

  test("is refused as a whole when it is none", async () => {
    const { send, batch, seen } = gateway();
    expect((await send("no json")).pointers).toEqual(["#"]);
    expect((await batch([])).pointers).toEqual(["#/requests"]);
    const wrong: [object, string][] = [
      [get("/v1/me", { headers: { Authorization: "Bearer other" } }), "#/requests/1/headers/Authorization"],
      [get("/v1/me", { headers: { "X-User-Id": "usr_1" } }), "#/requests/1/headers/X-User-Id"],
      [get("/_events/user"), "#/requests/1/path"],
      [get("/v1/../_events/user"), "#/requests/1/path"],
      [get("/v1/%2e%2e/webhooks/payments/stripe"), "#/requests/1/path"],
      [get("//evil.example/v1/me"), "#/requests/1/path"],
      [{ method: "TRACE", path: "/v1/me" }, "#/requests/1/method"],
      [get("/v1/me", { userId: "usr_1" }), "#/requests/1"],
      [{ method: "POST", path: "/v1/carts", body: [1] }, "#/requests/1/body"],
    ];
    for (const [part, pointer] of wrong) {
      const { status, pointers } = await batch([get("/v1/me"), part]);
      expect([part, status, pointers]).toEqual([part, 400, [pointer]]);
    }
    expect((await send({ requests: [get("/v1/me")], more: 1 })).status).toBe(400);
    expect((await send(`"${"x".repeat(batchLimits.bodyBytesMax)}"`)).status).toBe(413);
    expect(seen).toEqual([]);
  });

  test("is in no batch", async () => {
    const { batch, seen } = gateway();
    const inner = { requests: [get("/v1/me")] };
    const paths = ["/v1/batch", "/v1/%62atch", "/v1/x/../batch"];
    const { answers } = await batch(paths.map((path) => ({ method: "POST", path, body: inner })));
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400]);
    expect(seen).toEqual([]);
  });

  test("is no way around the rate limits", async () => {
    const { batch } = gateway({ RATE_LIMIT_PER_ADDRESS: "1000" });
    const login = { method: "POST", path: "/v1/auth/login", body: {} };
    const statuses = [];
    for (let i = 0; i < 2; i++)
      statuses.push(...(await batch(Array(8).fill(login))).answers.map(({ status }) => status));
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(6);
  });
});
