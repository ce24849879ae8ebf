import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { PolicyService } from "@mall/gen/mall/auth/v1/policy_pb";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { sql } from "drizzle-orm";
import { serveGrpc, serveHttp } from "../host/bun";
import { createRpcServer } from "../rpc/server";
import { testDatabase } from "../testing/database";
import { freePorts } from "../testing/ports";
import { cancellable, uncancelled } from "./cancellation";
import { type Db, databaseCode, openDb } from "./client";
import { sqlStatement } from "./statement";

let database: Awaited<ReturnType<typeof testDatabase>>;
let db: Db;
let operator: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = openDb({ url: database.url, max: 4, applicationName: "cancelled" });
  operator = openDb({ url: database.url, max: 2, applicationName: "operator" });
  await operator.sql.unsafe("create table public.notes (note text)");
});
afterAll(async () => {
  await Promise.all([db.close(), operator.close()]);
  await database.drop();
});

/** Statements that run on the connections under test. */
const running = async (): Promise<string[]> => {
  const rows = await operator.sql.unsafe<{ query: string }[]>(
    "select query from pg_stat_activity where application_name = 'cancelled' and state = 'active'",
  );
  return rows.map(({ query }) => query);
};

async function until(holds: (queries: string[]) => boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (holds(await running())) return;
    await Bun.sleep(20);
  }
  throw new Error(`still running: ${await running()}`);
}
const begun = () => until((queries) => queries.some((query) => query.includes("pg_sleep")));
const gone = () => until((queries) => queries.length === 0);
const notes = async () =>
  (await operator.sql.unsafe<{ note: string }[]>("select note from public.notes")).map(({ note }) => note);

const sleep = "select pg_sleep(8)";
const outcome = (work: Promise<unknown>) => work.then(() => "done", databaseCode);
const read = { refusesNext: true };
const write = { refusesNext: false };

describe("work for a caller who goes away", () => {
  test("ends in the database at once", async () => {
    const caller = new AbortController();
    const work = outcome(cancellable(caller.signal, read, async () => db.sql.unsafe(sleep)));
    await begun();
    caller.abort();
    expect(await work).toBe("57014");
    await gone();
  });

  test("leaves nothing of its transaction, and the connection to others", async () => {
    const caller = new AbortController();
    const work = cancellable(caller.signal, write, () =>
      db.tx(async (tx) => {
        await tx.orm.execute(sql`insert into public.notes values ('half')`);
        await tx.orm.execute(sql`select pg_sleep(8)`);
      }),
    );
    await begun();
    caller.abort();
    await expect(work).rejects.toThrow();
    await gone();
    expect(await notes()).not.toContain("half");
    const rest = Array.from({ length: 20 }, () => db.tx((tx) => tx.sql.unsafe("select 1 as n")));
    expect((await Promise.all(rest)).length).toBe(20);
  });

  test("begins no further reading, but cleans up what it was writing", async () => {
    const caller = new AbortController();
    caller.abort();
    const reading = cancellable(caller.signal, read, async () => db.sql.unsafe("select 1"));
    expect(await reading.catch((error) => ConnectError.from(error).code)).toBe(Code.Canceled);
    await cancellable(caller.signal, write, async () =>
      db.sql.unsafe("insert into public.notes values ('cleaned up')"),
    );
    expect(await notes()).toContain("cleaned up");
  });

  test("does not take with it what goes on after the answer or what others wait for", async () => {
    const caller = new AbortController();
    const note = (text: string) =>
      db.sql.unsafe(`insert into public.notes select '${text}' from pg_sleep(0.5)`).then(() => text);
    const [after, shared] = await cancellable(caller.signal, write, async () => [
      { work: Bun.sleep(1).then(() => note("after")) },
      { work: uncancelled(() => note("shared")) },
    ]);
    await begun();
    caller.abort();
    expect(await Promise.all([after!.work, shared!.work])).toEqual(["after", "shared"]);
  });
});

test("nobody gets the answer of another one, however many of those that share connections are cancelled", async () => {
  const narrow = openDb({ url: database.url, max: 2, applicationName: "narrow" });
  const echo = sqlStatement<{ n: number }, { n: number }>(
    (p) => sql`select ${p.n}::int as n from pg_sleep(0.002)`,
  );
  const outcomes = { right: 0, cancelled: 0 };
  const asked = async (n: number) => {
    const caller = new AbortController();
    const work = cancellable(caller.signal, write, async () =>
      n % 5 === 0 ? narrow.tx((tx) => echo(tx, { n })) : echo(narrow, { n }),
    );
    if (n % 3 === 0) setTimeout(() => caller.abort(), n % 40);
    try {
      expect(await work).toEqual([{ n }] as never);
      outcomes.right++;
    } catch (error) {
      expect([n % 3, databaseCode(error)]).toEqual([0, "57014"]);
      outcomes.cancelled++;
    }
  };
  try {
    for (let round = 0; round < 10; round++)
      await Promise.all(Array.from({ length: 120 }, (_, i) => asked(round * 120 + i)));
    expect(outcomes.right + outcomes.cancelled).toBe(1_200);
    expect(outcomes.cancelled).toBeGreaterThan(0);
    expect(await echo(narrow, { n: -1 })).toEqual([{ n: -1 }] as never);
  } finally {
    await narrow.close();
  }
});

describe("a statement that was cancelled in the place of another one", () => {
  const slow = sqlStatement<{ note: string }, { note: string }>(
    (p) => sql`insert into public.notes select ${p.note}::text from pg_sleep(0.5) returning note`,
  );
  const cancelOnce = async () => {
    await begun();
    await operator.sql.unsafe(
      "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'cancelled'",
    );
  };

  test("runs again, and so does its transaction", async () => {
    const [alone] = await Promise.all([slow(db, { note: "alone" }), cancelOnce()]);
    expect(alone.map(({ note }) => note)).toEqual(["alone"]);
    let runs = 0;
    const whole = db.tx(async (tx) => {
      runs++;
      await slow(tx, { note: "whole" });
    });
    await Promise.all([whole, cancelOnce()]);
    expect(runs).toBe(2);
    expect((await notes()).filter((note) => note === "whole" || note === "alone").length).toBe(2);
  });
});

describe("an RPC", () => {
  type Clients = {
    read: Client<typeof PolicyService>;
    buy: Client<typeof CheckoutService>;
    fill: Client<typeof CartService>;
  };
  const servers: (() => Promise<unknown>)[] = [];
  const surfaces: Record<string, () => Clients> = {};
  const done: string[] = [];

  beforeAll(async () => {
    const rpc = createRpcServer({
      implementations: [
        {
          service: PolicyService,
          methods: Object.fromEntries(
            PolicyService.methods.map(({ localName }) => [localName, () => db.sql.unsafe(sleep)]),
          ),
        },
        ...[CheckoutService, CartService].map((service) => ({
          service,
          methods: Object.fromEntries(
            service.methods.map(({ localName }) => [
              localName,
              async () => {
                await db.sql.unsafe("select pg_sleep(1)");
                done.push(localName);
                return {};
              },
            ]),
          ),
        })),
      ],
      ...{ gate: async () => {}, interceptors: [], timeoutMs: () => 30_000, log: () => {} },
    });
    const [port, grpcPort] = (await freePorts(2)) as [number, number];
    const fetch = async (request: Request) => rpc.fetch(request) ?? new Response("no", { status: 404 });
    const http = serveHttp(fetch, port, "127.0.0.1");
    const grpc = await serveGrpc(rpc.routes, fetch, grpcPort, "127.0.0.1");
    servers.push(() => http.stop(true), grpc.stop);
    const transports = {
      Connect: createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: "1.1" }),
      gRPC: createGrpcTransport({ baseUrl: `http://127.0.0.1:${grpcPort}` }),
      "a direct call": rpc.transport,
    };
    for (const [name, transport] of Object.entries(transports))
      surfaces[name] = () => ({
        read: createClient(PolicyService, transport),
        buy: createClient(CheckoutService, transport),
        fill: createClient(CartService, transport),
      });
  });
  afterAll(() => Promise.all(servers.map((stop) => stop())));
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => "answered",
      (error) => Code[ConnectError.from(error).code],
    );

  for (const surface of ["Connect", "gRPC", "a direct call"]) {
    test(`by ${surface} is cancelled down to its statement by its caller and by its deadline`, async () => {
      const { read: client } = surfaces[surface]!();
      const caller = new AbortController();
      const left = codeOf(client.getPolicy({}, { signal: caller.signal }));
      await begun();
      caller.abort();
      expect(await left).toBe("Canceled");
      await gone();
      const late = codeOf(client.getPolicy({}, { timeoutMs: 500 }));
      await begun();
      expect(await late).toBe("DeadlineExceeded");
      await gone();
    });

    test(`by ${surface} that cannot simply be asked again runs to its end`, async () => {
      done.length = 0;
      const { buy, fill } = surfaces[surface]!();
      const caller = new AbortController();
      const { signal } = caller;
      const left = codeOf(Promise.all([buy.placeOrder({}, { signal }), fill.addItem({}, { signal })]));
      await begun();
      caller.abort();
      expect(await left).toBe("Canceled");
      await gone();
      await Bun.sleep(50);
      expect(done.toSorted()).toEqual(["addItem", "placeOrder"]);
    });
  }
});
