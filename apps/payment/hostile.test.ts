import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { CreateRefundRequestSchema, PaymentService, RefundState } from "@mall/gen/mall/payment/v1/payment_pb";
import { createKernel } from "@mall/kernel/app";
import { baseEnv, parseEnv } from "@mall/kernel/env";
import { faultInfo } from "@mall/kernel/fault";
import { type Id, idOf, uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { authorizePayment } from "./application/authorize-payment";
import { capturePayment } from "./application/capture-payment";
import { createRefund } from "./application/create-refund";
import { receiveWebhook } from "./application/receive-webhook";
import { sweep } from "./application/sweep";
import { voidPayment } from "./application/void-payment";
import type { Deps } from "./deps";
import type { RefundNote } from "./domain/refund";
import { fakeProvider } from "./providers/fake";
import type { Notice, PaymentProvider } from "./providers/port";
import { createPaymentService } from "./service";
import { refundAnswer } from "./transport/codec";

let mall: Harness;
beforeAll(async () => {
  mall = await harness("payment", createPaymentService);
});
afterAll(() => mall.stop());

const masterKey = "test-master-key-test-master-key-0123456789";

/** An instance of the service whose provider misbehaves; the harness is another one that does not. */
function instance(over: (fake: PaymentProvider) => Partial<PaymentProvider>): Deps {
  const resources = {
    ...{ env: {}, db: mall.db, clock: mall.clock, background: () => {} },
    registry: { transport: () => ({}), fetch: () => ({}) },
  };
  const env = parseEnv(baseEnv, { MALL_ENV: "test", MALL_MASTER_KEY: masterKey, LOG_LEVEL: "silent" });
  const kernel = createKernel("payment", resources as never, env);
  const fake = fakeProvider(mall.db, mall.clock);
  const provider = { ...fake, ...over(fake) };
  const notes = kernel.personal.rows<RefundNote>("refunds");
  return { ...kernel, provider, notes, currency: "USD", openTtlSeconds: 3600, refundAnswer };
}

/** A provider call in which the process dies. */
const never = () => new Promise<never>(() => {});
const fails = async () => {
  throw new Error("connection reset");
};
const healthy = () => instance(() => ({}));

const attempt = (over: { token?: string; capture?: boolean } = {}) => ({
  id: mall.newId("pay"),
  orderId: mall.newId("ord"),
  amount: { currency: "USD", minor: 4299n },
  method: "fake",
  token: over.token ?? "tok_ok",
  capture: over.capture ?? true,
});

async function paid(over: Parameters<typeof attempt>[0] = {}) {
  const asked = attempt(over);
  await authorizePayment(healthy())(asked);
  return asked;
}

async function row(table: string, key: string, value: string): Promise<Record<string, string>> {
  const [found] = await mall.db.sql.unsafe(`select * from payment.${table} where ${key} = $1`, [value]);
  return { ...found } as Record<string, string>;
}
const ours = (id: Id<"pay">) => row("payments", "id", uuidOf(id));
const theirs = (id: Id<"pay">) => row("fake_charges", "key", id);

async function sweepAfter(seconds: number, deps = healthy()): Promise<void> {
  mall.clock.advance(seconds);
  await sweep(deps)();
}

describe("a process that dies", () => {
  test("while it asks for money leaves a payment that is closed, or found captured", async () => {
    for (const isSent of [false, true]) {
      const asked = attempt();
      const dying = instance((fake) => ({
        authorize: async (...args) => {
          if (isSent) await fake.authorize(...args);
          return never();
        },
      }));
      void authorizePayment(dying)(asked);
      while (
        (await theirs(asked.id)).state !== (isSent ? "captured" : undefined) ||
        !(await ours(asked.id)).state
      )
        await Bun.sleep(1);
      await sweepAfter(5);
      expect((await ours(asked.id)).state).toBe("PROCESSING");
      await sweepAfter(2);
      expect((await ours(asked.id)).state).toBe(isSent ? "CAPTURED" : "VOIDED");
    }
  });

  test("while it captures or undoes leaves it to the sweeper", async () => {
    const dying = instance(() => ({ capture: never, void: never, refund: never }));
    const [taken, dropped, returned] = [
      await paid({ capture: false }),
      await paid({ capture: false }),
      await paid(),
    ];
    void capturePayment(dying)(taken.id);
    for (const { id, orderId } of [dropped, returned]) void voidPayment(dying)(id, orderId);
    while ((await row("refunds", "payment_id", uuidOf(returned.id))).state !== "PENDING") await Bun.sleep(1);
    while (!(await ours(taken.id)).capture || !(await ours(dropped.id)).undo) await Bun.sleep(1);
    await sweepAfter(5);
    expect((await ours(taken.id)).state).toBe("AUTHORIZED");
    await sweepAfter(2);
    expect([(await ours(taken.id)).state, (await theirs(taken.id)).state]).toEqual(["CAPTURED", "captured"]);
    expect([(await ours(dropped.id)).state, (await theirs(dropped.id)).state]).toEqual(["VOIDED", "voided"]);
    expect([(await ours(returned.id)).state, (await theirs(returned.id)).refunded]).toEqual([
      "REFUNDED",
      "4299",
    ]);
  });

  test("while it refunds leaves the refund and the answer of its key to the sweeper", async () => {
    const asked = await paid();
    const user = { id: "usr_00000000000000000000000001", roles: ["staff"] } as const;
    const request = create(CreateRefundRequestSchema, { paymentId: asked.id, reason: "late" });
    const ticket = {
      ...{ scope: `user:${user.id}`, rpc: "CreateRefund", key: crypto.randomUUID() },
      fingerprint: createHash("sha256").update(toBinary(CreateRefundRequestSchema, request)).digest(),
      owner: crypto.randomUUID(),
    };
    void createRefund(instance(() => ({ refund: never })))({ paymentId: asked.id, reason: "late" }, ticket);
    while ((await row("refunds", "payment_id", uuidOf(asked.id))).state !== "PENDING") await Bun.sleep(1);
    const as = { user: { id: user.id, roles: ["staff"] }, idempotencyKey: ticket.key };
    const repeat = () => mall.client(PaymentService, as).createRefund(request);
    expect(faultInfo(await repeat().catch((e) => e))?.reason).toBe("IDEMPOTENCY_KEY_IN_FLIGHT");
    await sweepAfter(7);
    expect((await repeat()).refund?.state).toBe(RefundState.SUCCEEDED);
    expect((await theirs(asked.id)).refunded).toBe("4299");
  });
});

describe("a provider that fails again and again", () => {
  test("is asked after 1, 2, 4, 8 and then every 10 seconds, and never taken for a refusal", async () => {
    let asked = 0;
    const broken = instance(() => ({
      authorize: fails,
      lookUp: () => {
        asked++;
        return fails();
      },
    }));
    const input = attempt();
    await authorizePayment(broken)(input);
    const gaps: number[] = [];
    let seconds = 0;
    while (gaps.length < 6) {
      const before = asked;
      await sweepAfter(1, broken);
      seconds++;
      if (asked === before) continue;
      gaps.push(seconds);
      seconds = 0;
    }
    expect(gaps).toEqual([1, 2, 4, 8, 10, 10]);
    expect((await ours(input.id)).state).toBe("PROCESSING");
    await sweepAfter(10);
    expect((await ours(input.id)).state).toBe("VOIDED");
  });

  test("never loses a refund: its money stays set aside until it is known", async () => {
    const asked = await paid();
    const broken = instance(() => ({ refund: fails }));
    await voidPayment(broken)(asked.id, asked.orderId);
    for (let n = 0; n < 20; n++) await sweepAfter(5, broken);
    expect(await ours(asked.id)).toMatchObject({ state: "CAPTURED", refunded: "4299", returned: "0" });
    await sweepAfter(10);
    expect(await ours(asked.id)).toMatchObject({ state: "REFUNDED", returned: "4299" });
    expect((await theirs(asked.id)).refunded).toBe("4299");
  });

  test("says the outcome of one refund to two who ask at once, and it counts once", async () => {
    const asked = await paid();
    await voidPayment(instance(() => ({ refund: fails })))(asked.id, asked.orderId);
    const [refund] = await mall.db.sql.unsafe("select id from payment.refunds where payment_id = $1", [
      uuidOf(asked.id),
    ]);
    const refundId = idOf("ref", refund!.id as string);
    const notice: Notice = { id: crypto.randomUUID(), paymentId: asked.id, ref: asked.id, refundId };
    let waiting = 0;
    const slow = instance((fake) => ({
      parseWebhook: async () => notice,
      async refund(...args) {
        const outcome = await fake.refund(...args);
        for (waiting++; waiting < 2; ) await Bun.sleep(1);
        return outcome;
      },
    }));
    await Promise.all([sweepAfter(1, slow), receiveWebhook(slow)("fake", "", () => undefined)]);
    expect(await ours(asked.id)).toMatchObject({ state: "REFUNDED", returned: "4299", due_at: null });
    const events = await mall.db.sql.unsafe("select 1 from payment.outbox where subject = $1", [asked.id]);
    expect(events).toHaveLength(2);
  });

  test("is asked about a payment by one of several sweepers only", async () => {
    const input = attempt();
    let asked = 0;
    const slow = () =>
      instance((fake) => ({
        authorize: fails,
        lookUp: async (given) => {
          if (given.id === input.id) asked++;
          await Bun.sleep(30);
          return fake.lookUp(given);
        },
      }));
    await authorizePayment(slow())(input);
    mall.clock.advance(1);
    await Promise.all(Array.from({ length: 4 }, () => sweep(slow())()));
    expect([asked, (await ours(input.id)).state]).toEqual([1, "VOIDED"]);
  });
});

describe("a webhook", () => {
  const about = (notice: Partial<Notice>): Notice => ({
    ...{ id: crypto.randomUUID(), paymentId: "", ref: "", refundId: "" },
    ...notice,
  });
  /** An instance that takes a JSON text for a signed message. */
  const listening = (over: (fake: PaymentProvider) => Partial<PaymentProvider> = () => ({})) =>
    instance((fake) => ({
      ...over(fake),
      parseWebhook: async (body) => (body === "forged" ? undefined : (JSON.parse(body) as Notice)),
    }));
  const send = (deps: Deps, notice: Notice) =>
    receiveWebhook(deps)("fake", JSON.stringify(notice), () => undefined);

  test("that comes three times before the answer is lost captures once", async () => {
    const asked = attempt();
    const notices = [
      about({ paymentId: asked.id, ref: asked.id }),
      about({ paymentId: asked.id, ref: asked.id }),
    ];
    const deps = listening((fake) => ({
      async authorize(...args) {
        await fake.authorize(...args);
        await Promise.all([send(deps, notices[0]!), send(deps, notices[0]!), send(deps, notices[1]!)]);
        throw new Error("the answer was lost");
      },
    }));
    await authorizePayment(deps)(asked);
    expect((await ours(asked.id)).state).toBe("CAPTURED");
    const events = await mall.db.sql.unsafe("select type from payment.outbox where subject = $1", [asked.id]);
    expect(events.map((e) => e.type)).toEqual(["mall.payment.v1.PaymentCaptured"]);
  });

  test("about an attempt that is still being made does not close it", async () => {
    const asked = attempt();
    const deps = listening((fake) => ({
      async authorize(...args) {
        await send(deps, about({ paymentId: asked.id, ref: asked.id }));
        return fake.authorize(...args);
      },
    }));
    expect((await authorizePayment(deps)(asked)).state).toBe("CAPTURED");
  });

  test("that comes twice is looked at once", async () => {
    const { id } = await paid();
    let looks = 0;
    const deps = listening((fake) => ({
      lookUp: (given) => {
        looks++;
        return fake.lookUp(given);
      },
    }));
    const notice = about({ paymentId: id });
    await Promise.all([send(deps, notice), send(deps, notice), send(deps, notice)]);
    await send(deps, notice);
    expect(looks).toBe(1);
    await send(deps, about({ paymentId: id }));
    expect(looks).toBe(2);
  });

  test("about nothing of ours is taken, one that is forged is refused, and neither leaves a trace", async () => {
    const deps = listening();
    const count = async () =>
      (await mall.db.sql.unsafe("select count(*)::int as n from payment.inbox"))[0]!.n as number;
    const before = await count();
    for (const paymentId of [mall.newId("pay"), "pay_x", "", "ord_00000000000000000000000001"])
      await send(deps, about({ paymentId, ref: paymentId === "" ? "pi_unknown" : "" }));
    const forged = receiveWebhook(deps)("fake", "forged", () => undefined);
    expect(faultInfo(await forged.catch((e) => e))?.reason).toBe("VALIDATION");
    expect(await count()).toBe(before);
  });

  test("about money that came for a payment that has ended sends it back, once", async () => {
    for (const token of ["tok_error", "tok_declined"]) {
      const asked = await paid({ token });
      await sweepAfter(1);
      const { state } = await ours(asked.id);
      await mall.db.sql.unsafe(
        "update payment.fake_charges set state = 'captured', amount = 4299, token = 'tok_ok' where key = $1",
        [asked.id],
      );
      const deps = listening();
      const notices = [about({ paymentId: asked.id }), about({ paymentId: asked.id })];
      await Promise.all(notices.map((notice) => send(deps, notice)));
      await sweepAfter(10);
      expect(await ours(asked.id)).toMatchObject({ state: state!, captured: "4299", returned: "4299" });
      expect((await theirs(asked.id)).refunded).toBe("4299");
      const types = await mall.db.sql.unsafe("select type from payment.outbox where subject = $1", [
        asked.id,
      ]);
      expect(types).toHaveLength(1);
    }
  });

  test("about money that came for a payment that never began sends it back", async () => {
    const { id, orderId } = attempt();
    await voidPayment(healthy())(id, orderId);
    await mall.db.sql.unsafe(
      `insert into payment.fake_charges (key, state, amount, refunded, currency, created_at)
        values ($1, 'captured', 4299, 0, 'USD', now())`,
      [id],
    );
    await send(listening(), about({ paymentId: id, ref: id }));
    expect(await ours(id)).toMatchObject({ state: "VOIDED", captured: "4299", returned: "4299" });
    expect((await theirs(id)).refunded).toBe("4299");
  });

  test("about an authorization of a payment that has ended drops it", async () => {
    const asked = await paid({ token: "tok_error", capture: false });
    await sweepAfter(1);
    await mall.db.sql.unsafe("update payment.fake_charges set state = 'authorized' where key = $1", [
      asked.id,
    ]);
    await send(listening(), about({ paymentId: asked.id }));
    expect([(await ours(asked.id)).state, (await theirs(asked.id)).state]).toEqual(["VOIDED", "voided"]);
  });

  test("whose question to the provider fails, or kills the process, is looked at by the sweeper", async () => {
    for (const lookUp of [fails, never]) {
      const asked = await paid({ capture: false });
      await mall.db.sql.unsafe("update payment.fake_charges set state = 'voided' where key = $1", [asked.id]);
      const { promise: isAsking, resolve: asking } = Promise.withResolvers<void>();
      const deps = listening(() => ({
        lookUp: () => {
          asking();
          return lookUp();
        },
      }));
      const sent = send(deps, about({ paymentId: asked.id }));
      await (lookUp === never ? isAsking : sent);
      expect((await ours(asked.id)).state).toBe("AUTHORIZED");
      await sweepAfter(1);
      expect((await ours(asked.id)).state).toBe("VOIDED");
    }
  });

  test("about a refund whose answer was lost finishes it", async () => {
    const asked = await paid({ token: "tok_refund_lost" });
    await voidPayment(healthy())(asked.id, asked.orderId);
    const [refund] = await mall.db.sql.unsafe("select key from payment.fake_refunds where charge_key = $1", [
      asked.id,
    ]);
    await send(listening(), about({ paymentId: asked.id, refundId: refund!.key as string }));
    expect((await ours(asked.id)).state).toBe("REFUNDED");
  });
});
