import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import {
  CheckoutService,
  CheckoutState,
  PayCheckoutRequestSchema,
  PlaceOrderRequestSchema,
  PlaceOrderResponseSchema,
} from "@mall/gen/mall/checkout/v1/checkout_pb";
import { FaultInfoSchema } from "@mall/gen/mall/common/v1/fault_pb";
import { sealer } from "../crypto/seal";
import { type Db, openDb } from "../db/client";
import { cleanRows, idempotencyStore } from "../db/idempotency";
import { type FaultCode, fault, faultInfo } from "../fault";
import type { Actor } from "../identity/actor";
import { testDatabase } from "../testing/database";
import { testClock } from "../testing/harness";
import { requestKey, responseKey, statusKey } from "./context";
import { fingerprintOf } from "./fingerprint";
import {
  type Answer,
  type Answers,
  createAnswers,
  faultAnswer,
  refOf,
  type Ticket,
  ticketKey,
} from "./idempotency";
import { createRpcServer, implement, type RpcServer } from "./server";

const daySeconds = 86_400;
const masterKey = "test-master-key-test-master-key-0123456789";

let database: Awaited<ReturnType<typeof testDatabase>>;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = openDb({ url: database.url, role: "mall_checkout", max: 8 });
});
afterAll(async () => {
  await db.close();
  await database.drop();
});
beforeEach(async () => {
  await db.sql.unsafe("delete from checkout.idempotency");
});

type Handler = (ticket: Ticket, answers: Answers, context: HandlerContext) => Promise<string>;

/** What a handler of these tests answers with. */
const response = (id: string) =>
  create(PlaceOrderResponseSchema, { checkout: { id, state: CheckoutState.COMPLETED } });
const answerOf = (id: string): Answer => ({
  kind: "message",
  status: 201,
  message: toBinary(PlaceOrderResponseSchema, response(id)),
});

/** A service whose PlaceOrder and PayCheckout do what the test says; both answer with an id that the test chose. */
function service(key = masterKey) {
  const clock = testClock();
  const logged: string[] = [];
  const store = idempotencyStore("checkout");
  const log = (_: string, message: string) => void logged.push(message);
  const seal = sealer(key, "checkout/idempotency");
  const answers = createAnswers({ db, store, seal, clock, ttlSeconds: daySeconds, log });
  const handler: { run: Handler } = { run: async () => "" };
  const run = async (_: unknown, context: HandlerContext) =>
    response(await handler.run(context.values.get(ticketKey)!, answers, context));
  const rpc = createRpcServer({
    timeoutMs: () => 30_000,
    implementations: [
      implement(CheckoutService, {
        placeOrder: run,
        payCheckout: async (request, context) => {
          await run(request, context);
          return {};
        },
        quoteCheckout: () => ({}),
        getCheckout: () => ({}),
      }),
    ],
    gate: async (context) => {
      context.values.set(responseKey, context);
      const actor = JSON.parse(context.requestHeader.get("x-actor") ?? "{}") as Actor;
      context.values.set(requestKey, { actor, client: {}, requestId: crypto.randomUUID() });
    },
    interceptors: [answers.interceptor],
    log: () => {},
  });
  return { clock, logged, store, answers, handler, rpc };
}

interface Ask {
  key?: string;
  actor?: Actor;
  body?: MessageInitShape<typeof PlaceOrderRequestSchema>;
  method?: "placeOrder" | "payCheckout";
}
interface Reply {
  id?: string;
  status?: number;
  isReplay: boolean;
  reason?: string;
  requestId?: string;
  code?: Code;
}

const user = { user: { id: "usr_1", sessionId: "ses_1", roles: [] } } as unknown as Actor;

async function ask(rpc: RpcServer, { key = "key-1", actor = user, body = {}, method }: Ask): Promise<Reply> {
  const desc = CheckoutService.method[method ?? "placeOrder"];
  const header = new Headers({ "x-actor": JSON.stringify(actor) });
  if (key !== "") header.set("idempotency-key", key);
  const read = () =>
    method === "payCheckout"
      ? create(PayCheckoutRequestSchema, { checkoutId: body.cartId })
      : create(PlaceOrderRequestSchema, body);
  const call = { method: desc, header, protocol: "test", requestMethod: "POST", url: "http://test/", read };
  try {
    const { message, context } = await rpc.call(call);
    const isReplay = context.responseHeader.get("idempotent-replayed") === "true";
    return { id: (message as ReturnType<typeof response>).checkout?.id, isReplay };
  } catch (error) {
    const { code, metadata } = ConnectError.from(error);
    const isReplay = metadata.get("idempotent-replayed") === "true";
    return { code, reason: faultInfo(error)?.reason, requestId: faultInfo(error)?.requestId, isReplay };
  }
}

/** The usual shape of an RPC with one transaction: take, effect, settle. */
const once =
  (effects: string[], id = "chk_1"): Handler =>
  (ticket, answers) =>
    db.tx(async (tx) => {
      await answers.take(tx, ticket);
      effects.push(id);
      await answers.settle(tx, ticket, answerOf(id));
      return id;
    });

const outOfStock = () => fault("failed_precondition", "OUT_OF_STOCK", "Nothing left.");
const rows = async () =>
  (await db.sql.unsafe("select key, state from checkout.idempotency order by key")) as unknown as {
    key: string;
    state: string;
  }[];

/** A promise that the test resolves. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

describe("a key", () => {
  test("runs its request once and replays the answer", async () => {
    const { rpc, handler } = service();
    const effects: string[] = [];
    handler.run = once(effects);
    expect(await ask(rpc, {})).toEqual({ id: "chk_1", isReplay: false });
    expect(await ask(rpc, {})).toEqual({ id: "chk_1", isReplay: true });
    expect(effects).toHaveLength(1);
  });

  test("of another request is refused", async () => {
    const { rpc, handler } = service();
    handler.run = once([]);
    await ask(rpc, {});
    expect((await ask(rpc, { body: { email: "other@example.com" } })).reason).toBe("IDEMPOTENCY_KEY_REUSED");
  });

  test("is asked for, and must be 1 to 255 visible ASCII characters", async () => {
    const { rpc, handler } = service();
    handler.run = once([]);
    expect((await ask(rpc, { key: "" })).reason).toBe("IDEMPOTENCY_KEY_REQUIRED");
    for (const key of ["a b", "é", "a\tb", "x".repeat(256), "a, b"]) {
      const { code, reason } = await ask(rpc, { key });
      expect([code, reason]).toEqual([Code.InvalidArgument, "VALIDATION"]);
    }
    expect((await ask(rpc, { key: "x".repeat(255) })).id).toBe("chk_1");
    expect((await ask(rpc, { key: `!"#$%&'()*+,-./:;<=>?@[\\]^_\`{|}~` })).id).toBe("chk_1");
  });

  test("is no card number", async () => {
    const { rpc, handler } = service();
    handler.run = once([]);
    for (const key of ["4111111111111111", "order-4111-1111-1111-1111"]) {
      expect((await ask(rpc, { key })).reason).toBe("VALIDATION");
    }
    expect(await rows()).toEqual([]);
    expect((await ask(rpc, { key: "41111111-1111-4111-8111-111111111111" })).id).toBe("chk_1");
  });

  test("belongs to its caller and its RPC", async () => {
    const { rpc, handler } = service();
    const effects: string[] = [];
    handler.run = once(effects);
    const callers: Actor[] = [
      user,
      { ...user, user: { ...user.user!, id: "usr_2" as never } },
      { cartSecret: "one" },
      { cartSecret: "two" },
      { orderSecret: "one-of-an-order" },
      { service: "mall" },
      {},
    ];
    for (const actor of callers) expect((await ask(rpc, { actor })).isReplay).toBe(false);
    expect((await ask(rpc, { method: "payCheckout" })).isReplay).toBe(false);
    expect(effects).toHaveLength(callers.length + 1);
    for (const actor of callers) expect((await ask(rpc, { actor })).isReplay).toBe(true);
  });

  test("of a guest stays the same when the client got the secret of the order meanwhile", async () => {
    const { rpc, handler } = service();
    handler.run = once([]);
    await ask(rpc, { actor: { cartSecret: "cart" } });
    expect((await ask(rpc, { actor: { cartSecret: "cart", orderSecret: "order" } })).isReplay).toBe(true);
    await ask(rpc, { method: "payCheckout", actor: { orderSecret: "order" } });
    const both = { cartSecret: "cart", orderSecret: "order" };
    expect((await ask(rpc, { method: "payCheckout", actor: both })).isReplay).toBe(true);
  });

  test("keeps no secret of a guest", async () => {
    const { rpc, handler } = service();
    handler.run = once([]);
    await ask(rpc, { actor: { cartSecret: "cart-secret-in-clear" } });
    const stored = await db.sql.unsafe("select idempotency::text as row from checkout.idempotency");
    expect(stored).toHaveLength(1);
    expect(JSON.stringify(stored)).not.toContain("cart-secret-in-clear");
  });

  test("replays an answer of megabytes", async () => {
    const { rpc, handler } = service();
    const id = "x".repeat(4 * 1024 * 1024);
    handler.run = once([], id);
    await ask(rpc, {});
    expect(await ask(rpc, {})).toEqual({ id, isReplay: true });
  });
});

describe("requests with one key at once", () => {
  test("of 50 one runs, the others are replays or told to wait", async () => {
    const { rpc, handler } = service();
    for (let round = 0; round < 5; round++) {
      const effects: string[] = [];
      handler.run = once(effects, `chk_${round}`);
      const replies = await Promise.all(Array.from({ length: 50 }, () => ask(rpc, { key: `k${round}` })));
      expect(effects).toHaveLength(1);
      expect(replies.filter((reply) => reply.id && !reply.isReplay)).toHaveLength(1);
      for (const reply of replies) {
        if (reply.id) expect(reply.id).toBe(`chk_${round}`);
        else expect(reply.reason).toBe("IDEMPOTENCY_KEY_IN_FLIGHT");
      }
      expect((await ask(rpc, { key: `k${round}` })).isReplay).toBe(true);
      expect(effects).toHaveLength(1);
    }
  });

  test("do not wait for one whose transaction is open", async () => {
    const { rpc, handler } = service();
    const [taken, finish] = [gate(), gate()];
    handler.run = (ticket, answers) =>
      db.tx(async (tx) => {
        await answers.take(tx, ticket);
        taken.open();
        await finish.opened;
        await answers.settle(tx, ticket, answerOf("chk_1"));
        return "chk_1";
      });
    const first = ask(rpc, {});
    await taken.opened;
    // more than there are connections: none of them may hold one while it waits
    const others = await Promise.all(Array.from({ length: 20 }, () => ask(rpc, {})));
    expect(new Set(others.map((reply) => reply.reason))).toEqual(new Set(["IDEMPOTENCY_KEY_IN_FLIGHT"]));
    finish.open();
    expect((await first).id).toBe("chk_1");
    expect(await ask(rpc, {})).toEqual({ id: "chk_1", isReplay: true });
  });

  test("refused because of what the first one did get that one's answer", async () => {
    const { rpc, handler } = service();
    handler.run = once([]);
    const late = service();
    late.handler.run = async () => {
      await ask(rpc, {});
      throw fault("failed_precondition", "CHECKOUT_STATE_INVALID", "It is paid.");
    };
    expect(await ask(late.rpc, {})).toEqual({ id: "chk_1", isReplay: true });
    late.handler.run = async () => {
      throw fault("failed_precondition", "CHECKOUT_STATE_INVALID", "It is paid.");
    };
    expect((await ask(late.rpc, { key: "key-2" })).reason).toBe("CHECKOUT_STATE_INVALID");
  });

  test("of which one was refused and another one succeeded agree on the success", async () => {
    const { rpc, handler } = service();
    handler.run = once([]);
    const refused = service();
    refused.handler.run = async () => {
      await ask(rpc, {});
      throw outOfStock();
    };
    expect(await ask(refused.rpc, {})).toEqual({ id: "chk_1", isReplay: true });
    expect(await ask(rpc, {})).toEqual({ id: "chk_1", isReplay: true });
  });
});

describe("a crash", () => {
  test("between take and settle leaves nothing, and the key works again", async () => {
    const { rpc, handler } = service();
    handler.run = (ticket, answers) =>
      db.tx(async (tx) => {
        await answers.take(tx, ticket);
        throw new Error("the process ended here");
      });
    expect((await ask(rpc, {})).reason).toBe("INTERNAL");
    expect(await rows()).toEqual([]);
    handler.run = once([]);
    expect((await ask(rpc, {})).isReplay).toBe(false);
  });

  test("of a saga leaves its key in flight until the answer is written", async () => {
    const { rpc, handler, answers } = service();
    let ticket: Ticket | undefined;
    handler.run = async (given) => {
      ticket = given;
      await db.tx((tx) => answers.take(tx, given));
      throw fault("unavailable", "CHECKOUT_INTERRUPTED", "Try again.");
    };
    expect((await ask(rpc, {})).reason).toBe("CHECKOUT_INTERRUPTED");
    expect((await ask(rpc, {})).reason).toBe("IDEMPOTENCY_KEY_IN_FLIGHT");
    await answers.settle(db, refOf(ticket!), answerOf("chk_late"));
    expect(await ask(rpc, {})).toEqual({ id: "chk_late", isReplay: true });
  });
});

describe("a request that a sweeper was faster than", () => {
  test("answers what every replay will, and not as a replay", async () => {
    const { rpc, handler, answers } = service();
    handler.run = async (ticket) => {
      await db.tx((tx) => answers.take(tx, ticket));
      await service().answers.settle(db, refOf(ticket), answerOf("chk_of_the_sweeper"));
      return "chk_of_the_request";
    };
    expect(await ask(rpc, {})).toEqual({ id: "chk_of_the_sweeper", isReplay: false });
    expect(await ask(rpc, {})).toEqual({ id: "chk_of_the_sweeper", isReplay: true });
  });

  test("answers 202 while nobody knows the outcome, and the end of it later", async () => {
    const { rpc, handler, answers } = service();
    let ticket: Ticket | undefined;
    handler.run = async (given, _, context) => {
      ticket = given;
      await db.tx((tx) => answers.take(tx, given));
      context.values.set(statusKey, 202);
      return "chk_pending";
    };
    expect(await ask(rpc, {})).toEqual({ id: "chk_pending", isReplay: false });
    expect((await ask(rpc, {})).reason).toBe("IDEMPOTENCY_KEY_IN_FLIGHT");
    await answers.settle(db, refOf(ticket!), answerOf("chk_end"));
    expect(await ask(rpc, {})).toEqual({ id: "chk_end", isReplay: true });
  });
});

describe("a request that lost its key to a later one", () => {
  /** A request took the key and was slow; the sweeper gave the key back; a retry has it now. */
  async function overtaken() {
    const { rpc, handler, answers } = service();
    const tickets: Ticket[] = [];
    const [slow, ended] = [gate(), gate()];
    handler.run = async (ticket) => {
      tickets.push(ticket);
      await db.tx((tx) => answers.take(tx, ticket));
      if (tickets.length === 1) {
        slow.open();
        await ended.opened;
        throw outOfStock();
      }
      throw fault("unavailable", "CHECKOUT_INTERRUPTED", "Try again.");
    };
    const first = ask(rpc, {});
    await slow.opened;
    await answers.abandon(db, refOf(tickets[0]!));
    await ask(rpc, {});
    return { rpc, answers, first, old: tickets[0]!, current: tickets[1]!, end: ended.open };
  }

  test("does not write its refusal over it", async () => {
    const { rpc, answers, first, current, end } = await overtaken();
    end();
    expect((await first).reason).toBe("IDEMPOTENCY_KEY_IN_FLIGHT");
    await answers.settle(db, refOf(current), answerOf("chk_2"));
    expect(await ask(rpc, {})).toEqual({ id: "chk_2", isReplay: true });
  });

  test("neither settles nor gives back what is not its own", async () => {
    const { rpc, answers, first, old, end } = await overtaken();
    await answers.settle(db, refOf(old), answerOf("chk_1"));
    await answers.abandon(db, refOf(old));
    expect((await ask(rpc, {})).reason).toBe("IDEMPOTENCY_KEY_IN_FLIGHT");
    end();
    await first;
  });
});

describe("a refusal", () => {
  const stored: [FaultCode, string][] = [
    ["failed_precondition", "PAYMENT_DECLINED"],
    ["failed_precondition", "OUT_OF_STOCK"],
    ["failed_precondition", "PRICE_CHANGED"],
  ];
  const forgotten: [FaultCode, string][] = [
    ["invalid_argument", "VALIDATION"],
    ["unauthenticated", "TOKEN_EXPIRED"],
    ["permission_denied", "FORBIDDEN"],
    ["not_found", "CART_NOT_FOUND"],
    ["aborted", "VERSION_MISMATCH"],
    ["aborted", "CART_LOCKED"],
    ["resource_exhausted", "RATE_LIMITED"],
    ["resource_exhausted", "PAYLOAD_TOO_LARGE"],
    ["internal", "INTERNAL"],
    ["unavailable", "OVERLOADED"],
    ["deadline_exceeded", "DEADLINE"],
  ];
  /** How a handler may be when it refuses: before it took the key, and inside the transaction that took it. */
  const refusing = (code: FaultCode, reason: string, within: boolean): Handler => {
    const refuse = () => {
      throw fault(code, reason, "No.", { metadata: { variantId: "var_1" } });
    };
    return async (ticket, answers) =>
      within ? db.tx(async (tx) => answers.take(tx, ticket).then(refuse)) : refuse();
  };

  test("that is an answer is replayed, with the id of the first request", async () => {
    const { rpc, handler } = service();
    for (const [code, reason] of stored) {
      for (const within of [false, true]) {
        const key = `${reason}-${within}`;
        handler.run = refusing(code, reason, within);
        const first = await ask(rpc, { key });
        expect([first.reason, first.isReplay]).toEqual([reason, false]);
        handler.run = once([]);
        expect(await ask(rpc, { key })).toEqual({ ...first, isReplay: true });
      }
    }
  });

  test("that is none leaves no trace", async () => {
    const { rpc, handler } = service();
    for (const [code, reason] of forgotten) {
      for (const within of [false, true]) {
        const key = `${reason}-${within}`;
        handler.run = refusing(code, reason, within);
        expect((await ask(rpc, { key })).reason).toBe(reason);
        expect(await rows()).toEqual([]);
      }
    }
  });

  test("that a saga has written is answered as it is, and not as a replay", async () => {
    const { rpc, handler, answers } = service();
    handler.run = async (ticket) => {
      await db.tx((tx) => answers.take(tx, ticket));
      await answers.settle(db, refOf(ticket), faultAnswer(outOfStock()));
      throw outOfStock();
    };
    const first = await ask(rpc, {});
    expect([first.reason, first.isReplay]).toEqual(["OUT_OF_STOCK", false]);
    expect(await ask(rpc, {})).toEqual({ ...first, isReplay: true });
  });
});

describe("a stored answer", () => {
  test("under another master key is not read and its request not run again", async () => {
    const { rpc, handler } = service();
    const effects: string[] = [];
    handler.run = once(effects);
    await ask(rpc, {});
    const other = service("another-master-key-another-master-key-01");
    other.handler.run = once(effects);
    const { code, reason } = await ask(other.rpc, {});
    expect([code, reason]).toEqual([Code.FailedPrecondition, "IDEMPOTENCY_ANSWER_LOST"]);
    expect(effects).toHaveLength(1);
    expect(other.logged).toEqual(["a stored answer cannot be opened"]);
  });

  test("moved under another key is not read", async () => {
    const { rpc, handler } = service();
    handler.run = once([]);
    await ask(rpc, {});
    await db.sql.unsafe("update checkout.idempotency set key = 'stolen'");
    expect((await ask(rpc, { key: "stolen" })).reason).toBe("IDEMPOTENCY_ANSWER_LOST");
  });

  test("is kept for a day from the answer on, then forgotten", async () => {
    const { rpc, handler, answers, clock } = service();
    const effects: string[] = [];
    handler.run = async (ticket) => {
      await db.tx((tx) => answers.take(tx, ticket));
      clock.advance(3600);
      effects.push("chk_1");
      await answers.settle(db, ticket, answerOf("chk_1"));
      return "chk_1";
    };
    await ask(rpc, {});
    clock.advance(daySeconds - 1);
    expect(await answers.clean()).toBe(0);
    expect((await ask(rpc, {})).isReplay).toBe(true);
    clock.advance(1);
    expect((await ask(rpc, {})).isReplay).toBe(false);
    clock.advance(daySeconds);
    expect(await answers.clean()).toBe(1);
    expect(await rows()).toEqual([]);
    expect(effects).toHaveLength(2);
  });
});

describe("cleaning", () => {
  const expired = (count: number, state = "done") =>
    db.sql.unsafe(`insert into checkout.idempotency (scope, rpc, key, fingerprint, state, expires_at)
      select 'user:x', 'PlaceOrder', 'old-' || n, '', '${state}', '2025-01-01' from generate_series(1, ${count}) n`);

  test("goes on in batches up to a limit", async () => {
    const { answers, store, clock } = service();
    await expired(cleanRows * 11 + 5);
    expect(await store.clean(db, clock())).toBe(cleanRows);
    expect(await answers.clean()).toBe(cleanRows * 10);
    expect(await answers.clean()).toBe(5);
    expect(await answers.clean()).toBe(0);
  });

  test("by several instances at once deletes each record once", async () => {
    const { store, clock } = service();
    await expired(cleanRows * 3 + 7);
    let deleted = 0;
    for (let round = 0; round < 20 && deleted < cleanRows * 3 + 7; round++) {
      const counts = await Promise.all(Array.from({ length: 4 }, () => store.clean(db, clock())));
      deleted += counts.reduce((a, b) => a + b, 0);
    }
    expect(deleted).toBe(cleanRows * 3 + 7);
    expect(await rows()).toEqual([]);
  });

  test("never takes what is in flight, and neither does a new request", async () => {
    const { rpc, handler, answers, store, clock } = service();
    let ticket: Ticket | undefined;
    handler.run = async (given) => {
      ticket = given;
      await db.tx((tx) => answers.take(tx, given));
      throw fault("unavailable", "CHECKOUT_INTERRUPTED", "Try again.");
    };
    await ask(rpc, {});
    clock.advance(daySeconds * 30);
    expect(await answers.clean()).toBe(0);
    expect((await ask(rpc, {})).reason).toBe("IDEMPOTENCY_KEY_IN_FLIGHT");
    // a request that looked before the key was taken
    const other = { ...refOf(ticket!), owner: crypto.randomUUID() };
    expect(await store.take(db, other, Buffer.of(1), clock(), clock())).toBe(false);
    expect(await store.keep(db, other, Buffer.of(1), Buffer.of(1), clock(), clock())).toBe(false);
    await answers.settle(db, refOf(ticket!), answerOf("chk_1"));
    expect(await answers.clean()).toBe(0);
    expect((await ask(rpc, {})).id).toBe("chk_1");
  });

  test("leaves a record that a new request takes over meanwhile", async () => {
    const { store, clock } = service();
    await expired(1);
    const ref = { scope: "user:x", rpc: "PlaceOrder", key: "old-1", owner: crypto.randomUUID() };
    const later = new Date(clock().getTime() + 1000);
    const [taken, seen] = [gate(), gate()];
    const takeover = db.tx(async (tx) => {
      expect(await store.take(tx, ref, Buffer.of(1), clock(), later)).toBe(true);
      taken.open();
      await seen.opened;
    });
    await taken.opened;
    const cleaned = store.clean(db, clock());
    await Promise.race([cleaned, Bun.sleep(200)]);
    seen.open();
    await takeover;
    expect(await cleaned).toBe(0);
    expect(await rows()).toEqual([{ key: "old-1", state: "in_flight" }]);
  });
});

describe("a fingerprint", () => {
  const place = (body: MessageInitShape<typeof PlaceOrderRequestSchema>) =>
    Buffer.from(fingerprintOf(PlaceOrderRequestSchema, create(PlaceOrderRequestSchema, body))).toString(
      "hex",
    );

  test("differs for another value, and for a message that is there but empty", () => {
    const prints = [{}, { cartId: "a" }, { email: "a" }, { payment: {} }, { payment: { method: "a" } }];
    expect(new Set(prints.map(place)).size).toBe(prints.length);
  });

  test("does not tell a default from an absent field", () => {
    expect(place({ cartId: "", email: "" })).toBe(place({}));
  });

  test("passes over fields that the contract does not know, also inside", () => {
    const unknown = { no: 999, wireType: 0, data: Uint8Array.of(1) } as never;
    const message = create(PlaceOrderRequestSchema, { cartId: "a", payment: { method: "fake" } });
    const plain = place({ cartId: "a", payment: { method: "fake" } });
    message.$unknown = [unknown];
    message.payment!.$unknown = [unknown];
    expect(Buffer.from(fingerprintOf(PlaceOrderRequestSchema, message)).toString("hex")).toBe(plain);
  });

  test("does not depend on the order of a map", () => {
    const print = (metadata: Record<string, string>) =>
      Buffer.from(fingerprintOf(FaultInfoSchema, create(FaultInfoSchema, { metadata }))).toString("hex");
    expect(print({ b: "1", a: "2" })).toBe(print({ a: "2", b: "1" }));
    expect(print({ b: "1", a: "2" })).not.toBe(print({ a: "1", b: "2" }));
  });

  test("leaves the message as it was", () => {
    const message = create(FaultInfoSchema, { metadata: { b: "1", a: "2" } });
    fingerprintOf(FaultInfoSchema, message);
    expect(Object.keys(message.metadata)).toEqual(["b", "a"]);
  });
});
