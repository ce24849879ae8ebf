import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect as open } from "node:net";
import type { DescMethod } from "@bufbuild/protobuf";
import { contract } from "@mall/gateway/contract";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { Idempotency } from "@mall/gen/mall/common/v1/options_pb";
import { type Db, openDb } from "@mall/kernel/db/client";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";
import { policyOf } from "@mall/kernel/rpc/policy";
import { serviceOfPackage } from "@mall/kernel/topology";
import { host, hostKind } from "./host";
import { anotherAdmin, type Call, type Keyed, keyed } from "./keyed-scenes";
import { guestWith, inStock, newKey, placeOrder, rest } from "./shop";
import { type Reply, type Surface, send, surfaces } from "./surfaces";

let db: Db;
beforeAll(async () => {
  db = openDb({ url: (await host()).databaseUrl, max: 2 });
});
afterAll(() => db.close());

const methods: DescMethod[] = contract
  .flatMap((service) => service.methods)
  .filter((method) => policyOf(method)?.idempotency === Idempotency.KEY_REQUIRED);

/** Only so many purchases run at once. */
const isAdmitted = ({ parent }: DescMethod) => parent.typeName === CheckoutService.typeName;

/** What a surface answers a refusal with. */
const refused = (surface: Surface, reply: Reply) => [
  surface === "rest" ? reply.status : reply.code,
  reply.reason,
  reply.isReplay,
];
const asRefusal = (surface: Surface, status: number, code: string, reason: string) => [
  surface === "rest" ? status : code,
  reason,
  false,
];
const isSuccess = (reply: Reply) => reply.code === "ok" || (reply.status ?? 500) < 300;

/** Calls with a key; says what went wrong when it should have worked. */
async function succeed(surface: Surface, method: DescMethod, call: Call, key: string): Promise<Reply> {
  const reply = await send(surface, method, call.message, { ...call.options, key });
  if (!isSuccess(reply)) throw new Error(`${method.name} on ${surface}: ${reply.reason} ${reply.bytes}`);
  return reply;
}

/** How many records a service has for a key. */
async function recordsOf(method: DescMethod, key: string): Promise<number> {
  const schema = serviceOfPackage(method.parent.typeName);
  const rows = await db.sql.unsafe(`select 1 from ${schema}.idempotency where key = $1`, [key]);
  return rows.length;
}

/** Waits until a statement of a service waits for a lock that another session holds. */
async function untilBlocked(holder: number): Promise<boolean> {
  for (let tries = 0; tries < 400; tries++) {
    const waiting = await db.sql.unsafe(
      "select 1 from pg_stat_activity where $1 = any(pg_blocking_pids(pid))",
      [holder],
    );
    if (waiting.length > 0) return true;
    await Bun.sleep(10);
  }
  return false;
}

test("every method that asks for a key has its scene here", () => {
  const missing = methods.map(({ name }) => name).filter((name) => !keyed[name]);
  if (missing.length > 0) {
    throw new Error(
      `${missing.join(", ")}: asks for an Idempotency-Key in the contract, so it needs a scene in apps/mall/e2e/keyed-scenes.ts, which says how to call it and how to see its effect.`,
    );
  }
  const names = new Set(methods.map(({ name }) => name));
  expect(Object.keys(keyed).filter((name) => !names.has(name))).toEqual([]);
});

/** While the request is held by a lock in the database, the same key is in flight on every surface. */
async function tryInFlight(method: DescMethod, { scene }: Keyed): Promise<"held" | "too slow"> {
  const call = await scene();
  const before = await call.effects();
  const key = newKey();
  let first: Promise<Reply> | undefined;
  const others: [Surface, Reply][] = [];
  await db
    .tx(async (tx) => {
      await tx.sql.unsafe(call.lock);
      const [{ pid }] = (await tx.sql.unsafe("select pg_backend_pid() as pid")) as unknown as [
        { pid: number },
      ];
      first = send("rest", method, call.message, { ...call.options, key });
      expect(await untilBlocked(pid)).toBe(true);
      for (const surface of surfaces) {
        others.push([surface, await send(surface, method, call.message, { ...call.options, key })]);
      }
      const other = await send("rest", method, call.other, { ...call.options, key });
      // only a record that is committed can tell that the content is another one
      expect(["IDEMPOTENCY_KEY_IN_FLIGHT", "IDEMPOTENCY_KEY_REUSED"]).toContain(other.reason);
      throw new Error("rolled back");
    })
    .catch((error) => {
      if (error.message !== "rolled back") throw error;
    });
  const reply = await first!;
  // the service gives a lock up after 5 s; a machine that slow tries again
  if (!isSuccess(reply)) return "too slow";
  for (const [surface, second] of others) {
    expect(refused(surface, second)).toEqual(asRefusal(surface, 409, "aborted", "IDEMPOTENCY_KEY_IN_FLIGHT"));
    expect(Number(second.retryAfter)).toBeGreaterThan(0);
  }
  for (const surface of surfaces) {
    const replay = await send(surface, method, call.message, { ...call.options, key });
    expect([replay.isReplay, replay.message]).toEqual([true, reply.message]);
  }
  expect((await call.effects()) - before).toBe(1);
  return "held";
}

describe.each(methods.filter(({ name }) => keyed[name]).map((method) => [method.name, method] as const))(
  `%s (${hostKind})`,
  (name, method) => {
    const { scene, refusals } = keyed[name]!;

    test.each([...surfaces])(
      "works once for a key on %s and answers the same bytes again",
      async (surface) => {
        const call = await scene();
        const before = await call.effects();
        const key = newKey();
        const first = await succeed(surface, method, call, key);
        expect(first.isReplay).toBe(false);
        for (let round = 0; round < 2; round++) {
          const again = await succeed(surface, method, call, key);
          expect([again.bytes, again.status, again.isReplay]).toEqual([first.bytes, first.status, true]);
        }
        expect((await call.effects()) - before).toBe(1);
      },
    );

    test.each([...surfaces])("replays on every surface what happened on %s", async (surface) => {
      const call = await scene();
      const before = await call.effects();
      const key = newKey();
      const first = await succeed(surface, method, call, key);
      for (const other of surfaces) {
        const again = await succeed(other, method, call, key);
        expect([again.message, again.isReplay]).toEqual([first.message, true]);
      }
      expect((await call.effects()) - before).toBe(1);
    });

    test.each([...surfaces])("refuses another content under the key on %s", async (surface) => {
      const call = await scene();
      const before = await call.effects();
      const key = newKey();
      await succeed(surface, method, call, key);
      for (const other of surfaces) {
        const reused = await send(other, method, call.other, { ...call.options, key });
        expect(refused(other, reused)).toEqual(
          asRefusal(other, 422, "failed_precondition", "IDEMPOTENCY_KEY_REUSED"),
        );
      }
      expect((await call.effects()) - before).toBe(1);
    });

    test("asks for a key, on every surface", async () => {
      const call = await scene();
      const before = await call.effects();
      for (const surface of surfaces) {
        const reply = await send(surface, method, call.message, call.options);
        expect(refused(surface, reply)).toEqual(
          asRefusal(surface, 400, "invalid_argument", "IDEMPOTENCY_KEY_REQUIRED"),
        );
        expect(reply.fault?.fields).toEqual(["Idempotency-Key"]);
      }
      expect((await call.effects()) - before).toBe(0);
    });

    test("refuses keys that are none, on every surface", async () => {
      const call = await scene();
      const before = await call.effects();
      for (const surface of surfaces) {
        for (const key of ["x".repeat(256), "with space", "4111 1111 1111 1111", "4111111111111111"]) {
          const reply = await send(surface, method, call.message, { ...call.options, key });
          expect(refused(surface, reply)).toEqual(asRefusal(surface, 400, "invalid_argument", "VALIDATION"));
          expect(reply.fault?.fields).toEqual(["Idempotency-Key"]);
          expect(await recordsOf(method, key)).toBe(0);
        }
      }
      expect((await call.effects()) - before).toBe(0);
    });

    test("is in flight until its answer is there, on every surface", async () => {
      let outcome = await tryInFlight(method, keyed[name]!);
      for (let tries = 1; tries < 4 && outcome !== "held"; tries++) {
        outcome = await tryInFlight(method, keyed[name]!);
      }
      expect(outcome).toBe("held");
    });

    test("of 50 requests at once works for one; the others get its answer or are told to wait", async () => {
      const call = await scene();
      const before = await call.effects();
      const key = newKey();
      const asked = Array.from({ length: 50 }, (_, index) => surfaces[index % surfaces.length]!);
      const replies = await Promise.all(
        asked.map(
          async (surface) =>
            [surface, await send(surface, method, call.message, { ...call.options, key })] as const,
        ),
      );
      const answers = replies.map(([, reply]) => reply).filter(isSuccess);
      expect(answers.filter(({ isReplay }) => !isReplay)).toHaveLength(1);
      for (const { message } of answers) expect(message).toEqual(answers[0]!.message);
      for (const [surface, reply] of replies.filter(([, { reason }]) => reason !== "")) {
        const waits: unknown[] = [asRefusal(surface, 409, "aborted", "IDEMPOTENCY_KEY_IN_FLIGHT")];
        // admission comes before the key is looked at
        if (isAdmitted(method)) waits.push(asRefusal(surface, 503, "unavailable", "OVERLOADED"));
        expect(waits).toContainEqual(refused(surface, reply));
        expect(Number(reply.retryAfter)).toBeGreaterThan(0);
      }
      expect((await call.effects()) - before).toBe(1);
    });

    test("keeps the keys of callers apart", async () => {
      const [one, two] = [await scene(), await scene(await anotherAdmin())];
      expect(one.options).not.toEqual(two.options);
      const key = newKey();
      await succeed("rest", method, one, key);
      for (const surface of surfaces) {
        const second = await succeed(surface, method, two, key);
        expect(second.isReplay).toBe(surface !== "rest");
      }
      expect(await recordsOf(method, key)).toBe(2);
      expect([await one.effects(), await two.effects()]).toEqual([1, 1]);
      const stranger = await guestWith(await inStock());
      const foreign = await send("rest", method, one.message, { cartSecret: stranger.cartSecret, key });
      expect(foreign.isReplay).toBe(false);
      expect([401, 404]).toContain(foreign.status!);
    });

    test("forgets refusals that are no answer, so that the key works afterwards", async () => {
      const call = await scene();
      const before = await call.effects();
      const key = newKey();
      for (const surface of surfaces) {
        for (const { message, reason } of call.forgotten) {
          const reply = await send(surface, method, message, { ...call.options, key });
          expect([reply.reason, reply.isReplay]).toEqual([reason, false]);
        }
      }
      const unknownField = await send(
        "rest",
        method,
        { ...call.message, price: 1 },
        { ...call.options, key },
      );
      expect([unknownField.status, unknownField.reason]).toEqual([400, "VALIDATION"]);
      const unsigned = await send("rest", method, call.message, { ...call.options, token: "nonsense", key });
      expect(unsigned.status).toBe(401);
      expect(await recordsOf(method, key)).toBe(0);
      const worked = await succeed("rest", method, call, key);
      expect(worked.isReplay).toBe(false);
      expect((await call.effects()) - before).toBe(1);
    });

    for (const { reason, status, scene: refusedScene } of refusals) {
      test(`replays ${reason} even when its cause is gone, on every surface`, async () => {
        for (const surface of surfaces) {
          const call = await refusedScene();
          const options = { ...call.options, key: newKey() };
          const first = await send(surface, method, call.message, options);
          expect(refused(surface, first)).toEqual(asRefusal(surface, status, "failed_precondition", reason));
          await call.cure();
          const again = await send(surface, method, call.message, options);
          expect([again.bytes, again.isReplay]).toEqual([first.bytes, true]);
          for (const other of surfaces) {
            const replay = await send(other, method, call.message, options);
            expect([replay.reason, replay.fault, replay.isReplay]).toEqual([reason, first.fault, true]);
          }
        }
      });
    }
  },
);

describe(`a key (${hostKind})`, () => {
  test("of a purchase whose outcome is not known answers 202 once and then its end", async () => {
    const guest = await guestWith(await inStock());
    const key = newKey();
    const first = await placeOrder(guest, "tok_lost", { key });
    expect([first.status, first.headers.get("idempotent-replayed")]).toEqual([202, null]);
    let last = first;
    for (let tries = 0; tries < 600 && last.status !== 201; tries++) {
      last = await placeOrder(guest, "tok_lost", { key });
      expect([201, 409]).toContain(last.status);
      if (last.status === 409) await Bun.sleep(100);
    }
    expect([last.status, last.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
    expect((await placeOrder(guest, "tok_lost", { key })).text).toBe(last.text);
  });

  test.skipIf(hostKind === "edge")("of bytes that no header may have is refused by the host", async () => {
    const { hostname, port } = new URL((await host()).url);
    for (const key of [Buffer.from([1, 2, 3]), Buffer.from([0xff, 0xfe]), Buffer.from("a\0b")]) {
      const head = "POST /v1/checkouts HTTP/1.1\r\nHost: mall\r\nContent-Type: application/json\r\n";
      const rest = "\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
      const request = Buffer.concat([Buffer.from(`${head}Idempotency-Key: `), key, Buffer.from(rest)]);
      const answer = await new Promise<string>((resolve, reject) => {
        const socket = open(Number(port), hostname, () => socket.write(request));
        let text = "";
        socket.on("data", (data) => {
          text += data.toString("latin1");
        });
        socket.on("close", () => resolve(text)).on("error", reject);
      });
      expect(answer.slice(0, 12)).toBe("HTTP/1.1 400");
    }
  });
});

describe(`a card number (${hostKind})`, () => {
  const place = methods.find(({ name }) => name === "PlaceOrder")!;

  test("in any text of a message is refused on every surface, and nothing is stored", async () => {
    const call = await keyed.PlaceOrder!.scene();
    const before = await call.effects();
    const address = call.message.shippingAddress as object;
    for (const surface of surfaces) {
      for (const [over, field] of [
        [{ shippingAddress: { ...address, line2: "card 4111 1111 1111 1111" } }, "#/shippingAddress/line2"],
        [{ payment: { method: "fake", token: "5555555555554444" } }, "#/payment/token"],
        [{ payment: { method: "fake", token: "378282246310005" } }, "#/payment/token"],
      ] as const) {
        const key = newKey();
        const reply = await send(surface, place, { ...call.message, ...over }, { ...call.options, key });
        expect(refused(surface, reply)).toEqual(asRefusal(surface, 400, "invalid_argument", "VALIDATION"));
        expect(new Set(reply.fault?.fields)).toEqual(new Set([field]));
        expect(reply.bytes).not.toMatch(/4111|5555|3782/);
        expect(await recordsOf(place, key)).toBe(0);
      }
    }
    expect((await call.effects()) - before).toBe(0);
  });

  test("in a path, a query or the name of a field is refused and not said again", async () => {
    const asked = [
      rest("GET", "/v1/products?q=4111111111111111"),
      rest("GET", "/v1/products?q=4111%201111%201111%201111"),
      rest("GET", "/v1/products/4111111111111111"),
      rest("GET", "/v1/products?4111111111111111=1"),
      rest("POST", "/v1/carts", { "4111111111111111": 1 }),
    ];
    for (const answer of await Promise.all(asked)) {
      expect([answer.status, answer.body.reason]).toEqual([400, "VALIDATION"]);
      expect(answer.text).not.toContain("4111");
    }
  });

  test("is not what a barcode in a search is", async () => {
    expect((await rest("GET", "/v1/products?q=4006381333931")).status).toBe(200);
  });
});

test("the scenes ask for what REST serves", () => {
  expect(methods.filter((method) => !httpRuleOf(method)).map(({ name }) => name)).toEqual([]);
});
