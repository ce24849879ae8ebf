import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { PaymentService, PaymentState, RefundState } from "@mall/gen/mall/payment/v1/payment_pb";
import { faultInfo } from "@mall/kernel/fault";
import { uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { reasonOf } from "@mall/kernel/testing/refusal";
import { createPaymentService } from "./service";

let mall: Harness;
beforeAll(async () => {
  mall = await harness("payment", createPaymentService, { env: { PAYMENT_OPEN_TTL_SECONDS: "600" } });
});
afterAll(() => mall.stop());

const checkout = () => mall.client(PaymentService, { service: "checkout" });
const order = () => mall.client(PaymentService, { service: "order" });
const cli = () => mall.client(PaymentService, { service: "mall" });
const staff = { id: "usr_00000000000000000000000001", roles: ["staff"] };
const clerk = (idempotencyKey = crypto.randomUUID()) =>
  mall.client(PaymentService, { user: staff, idempotencyKey });

const usd = (minor: bigint) => ({ currency: "USD", minor });
const attempt = (
  token: string,
  over: { orderId?: string; userId?: string; capture?: boolean; minor?: bigint } = {},
) => ({
  paymentId: mall.newId("pay"),
  orderId: over.orderId ?? mall.newId("ord"),
  userId: over.userId ?? "",
  amount: usd(over.minor ?? 4299n),
  method: "fake",
  token,
  capture: over.capture ?? true,
});

/** A payment that has begun with this token. */
async function paid(token = "tok_ok", over: Parameters<typeof attempt>[1] = {}) {
  const asked = attempt(token, over);
  await checkout().authorizePayment(asked);
  return asked;
}

interface Books {
  /** What the provider's books say. */
  charge?: { state: string; amount: string; refunded: string };
  /** What our row says. */
  state?: string;
  refunded?: string;
  returned?: string;
}

async function books(paymentId: string): Promise<Books> {
  const [charge] = await mall.db.sql.unsafe(
    "select state, amount::text, refunded::text from payment.fake_charges where key = $1",
    [paymentId],
  );
  const [row] = await mall.db.sql.unsafe(
    "select state, refunded::text, returned::text from payment.payments where id = $1",
    [uuidOf(paymentId)],
  );
  return { charge: charge && ({ ...charge } as unknown as Books["charge"]), ...row };
}

/** Names of the events about a payment, in order. */
async function events(paymentId: string): Promise<string[]> {
  const rows = await mall.db.sql.unsafe<{ type: string }[]>(
    "select type from payment.outbox where subject = $1 order by sequence",
    [paymentId],
  );
  return rows.map(({ type }) => type.split(".").at(-1)!);
}

async function sweepAfter(seconds: number): Promise<void> {
  mall.clock.advance(seconds);
  await mall.app.sweep();
}

const times = <T>(n: number, run: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: n }, (_, index) => run(index)));

describe("a payment", () => {
  test("is captured once, however often it is asked for", async () => {
    const asked = attempt("tok_ok");
    const answers = await times(10, () => checkout().authorizePayment(asked));
    expect(answers.some((a) => a.payment?.state === PaymentState.CAPTURED)).toBe(true);
    const { payment } = await checkout().authorizePayment({ ...asked, token: "" });
    expect(payment?.state).toBe(PaymentState.CAPTURED);
    expect(await books(asked.paymentId)).toMatchObject({
      charge: { state: "captured", amount: "4299", refunded: "0" },
      state: "CAPTURED",
    });
    expect(await events(asked.paymentId)).toEqual(["PaymentCaptured"]);
  });

  test("is not closed by a question while the request that began it is at work", async () => {
    const asked = attempt("tok_ok");
    const insert = `insert into payment.payments (id, order_id, state, provider, amount, currency, capture, due_at,
      created_at, updated_at) values ($1, $2, 'PROCESSING', 'fake', 4299, 'USD', true, $3, $4, $4)`;
    const now = mall.clock();
    const [at, flightEnd] = [now.toISOString(), new Date(now.getTime() + 6000).toISOString()];
    await mall.db.sql.unsafe(insert, [uuidOf(asked.paymentId), uuidOf(asked.orderId), flightEnd, at]);
    const ask = () => checkout().authorizePayment({ ...asked, token: "" });
    expect((await ask()).payment?.state).toBe(PaymentState.PROCESSING);
    await sweepAfter(5);
    expect((await ask()).payment?.state).toBe(PaymentState.PROCESSING);
    await sweepAfter(2);
    expect((await ask()).payment?.state).toBe(PaymentState.VOIDED);
  });

  test("that is declined says why and takes nothing", async () => {
    const asked = attempt("tok_insufficient_funds");
    const { payment } = await checkout().authorizePayment(asked);
    expect([payment?.state, payment?.declineCode]).toEqual([PaymentState.DECLINED, "insufficient_funds"]);
    expect(await events(asked.paymentId)).toEqual(["PaymentFailed"]);
    const again = await checkout().authorizePayment(attempt("tok_ok", { orderId: asked.orderId }));
    expect(again.payment?.state).toBe(PaymentState.CAPTURED);
  });

  test("whose answer is lost is processing, never declined, and is found captured when asked again", async () => {
    const asked = attempt("tok_lost");
    expect((await checkout().authorizePayment(asked)).payment?.state).toBe(PaymentState.PROCESSING);
    expect((await checkout().authorizePayment({ ...asked, token: "" })).payment?.state).toBe(
      PaymentState.CAPTURED,
    );
  });

  test("whose answer is lost is found captured without anybody asking", async () => {
    const { paymentId } = await paid("tok_lost");
    expect((await books(paymentId)).state).toBe("PROCESSING");
    await sweepAfter(1);
    expect((await books(paymentId)).state).toBe("CAPTURED");
    expect(await events(paymentId)).toEqual(["PaymentCaptured"]);
  });

  test("that never reached the provider is closed when asked again, by the checkout or the sweeper", async () => {
    const asked = await paid("tok_error");
    expect((await books(asked.paymentId)).state).toBe("PROCESSING");
    const [{ payment }] = await Promise.all([
      checkout().authorizePayment({ ...asked, token: "" }),
      sweepAfter(1),
    ]);
    expect(payment?.state).toBe(PaymentState.VOIDED);
    const other = await paid("tok_error");
    await sweepAfter(1);
    expect((await books(other.paymentId)).state).toBe("VOIDED");
    expect(await events(other.paymentId)).toEqual(["PaymentVoided"]);
  });

  test("of nothing is never declined and the provider is not asked", async () => {
    const asked = attempt("tok_declined", { minor: 0n });
    expect((await checkout().authorizePayment(asked)).payment?.state).toBe(PaymentState.CAPTURED);
    expect((await books(asked.paymentId)).charge).toBeUndefined();
    expect(await reasonOf(clerk().createRefund({ paymentId: asked.paymentId }))).toBe(
      "REFUND_EXCEEDS_PAYMENT",
    );
    const { payment } = await checkout().voidPayment(asked);
    expect(payment?.state).toBe(PaymentState.REFUNDED);
  });

  test("an order has one live payment at a time", async () => {
    const orderId = mall.newId("ord");
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, () => checkout().authorizePayment(attempt("tok_ok", { orderId }))),
    );
    expect(results.filter((r) => r.status === "fulfilled")).toHaveLength(1);
    expect(await reasonOf(checkout().authorizePayment(attempt("tok_ok", { orderId })))).toBe(
      "PAYMENT_IN_PROGRESS",
    );
  });

  test("unknown methods and ids of other payments are refused", async () => {
    expect(await reasonOf(checkout().authorizePayment({ ...attempt("tok_ok"), method: "cash" }))).toBe(
      "PAYMENT_METHOD_UNKNOWN",
    );
    const asked = await paid();
    for (const other of [{ orderId: mall.newId("ord") }, { amount: usd(1n) }])
      expect(await reasonOf(checkout().authorizePayment({ ...asked, ...other }))).toBe("PAYMENT_EXISTS");
  });
});

describe("an authorization", () => {
  test("is captured exactly once by 100 requests at once", async () => {
    const { paymentId } = await paid("tok_ok", { capture: false });
    expect(await events(paymentId)).toEqual(["PaymentAuthorized"]);
    const answers = await times(100, () => checkout().capturePayment({ paymentId }));
    const states = new Set(answers.map((a) => a.payment?.state));
    expect(states.has(PaymentState.CAPTURED)).toBe(true);
    expect([...states].every((s) => s === PaymentState.CAPTURED || s === PaymentState.AUTHORIZED)).toBe(true);
    expect((await checkout().capturePayment({ paymentId })).payment?.state).toBe(PaymentState.CAPTURED);
    expect(await books(paymentId)).toMatchObject({ charge: { state: "captured" }, state: "CAPTURED" });
    expect(await events(paymentId)).toEqual(["PaymentAuthorized", "PaymentCaptured"]);
  });

  test("whose capture got no answer is captured by the sweeper", async () => {
    const { paymentId } = await paid("tok_capture_lost", { capture: false });
    expect((await checkout().capturePayment({ paymentId })).payment?.state).toBe(PaymentState.AUTHORIZED);
    await sweepAfter(1);
    expect((await books(paymentId)).state).toBe("CAPTURED");
  });

  test("can no longer be captured once it is undone", async () => {
    const asked = await paid("tok_void_lost", { capture: false });
    expect((await checkout().voidPayment(asked)).payment?.state).toBe(PaymentState.AUTHORIZED);
    expect(await reasonOf(checkout().capturePayment(asked))).toBe("PAYMENT_STATE_INVALID");
    await sweepAfter(1);
    expect(await books(asked.paymentId)).toMatchObject({ charge: { state: "voided" }, state: "VOIDED" });
    expect(await reasonOf(checkout().capturePayment(asked))).toBe("PAYMENT_STATE_INVALID");
    expect(await reasonOf(checkout().capturePayment({ paymentId: mall.newId("pay") }))).toBe(
      "PAYMENT_NOT_FOUND",
    );
  });

  test("that nobody captures is dropped after PAYMENT_OPEN_TTL_SECONDS, one that is captured is not", async () => {
    const [open, taken] = [
      await paid("tok_ok", { capture: false }),
      await paid("tok_ok", { capture: false }),
    ];
    await sweepAfter(599);
    expect((await books(open.paymentId)).state).toBe("AUTHORIZED");
    await checkout().capturePayment(taken);
    await sweepAfter(2);
    expect(await books(open.paymentId)).toMatchObject({ charge: { state: "voided" }, state: "VOIDED" });
    expect((await books(taken.paymentId)).state).toBe("CAPTURED");
    expect(await events(open.paymentId)).toEqual(["PaymentAuthorized", "PaymentVoided"]);
  });

  test("captured and undone at once ends with money or without, and both books agree", async () => {
    for (let trial = 0; trial < 20; trial++) {
      const asked = await paid("tok_ok", { capture: false });
      await Promise.allSettled([
        checkout().capturePayment(asked),
        checkout().voidPayment(asked),
        checkout().capturePayment(asked),
      ]);
      await sweepAfter(10);
      const { charge, state, returned } = await books(asked.paymentId);
      expect(["voided VOIDED 0", "refunded REFUNDED 4299"]).toContain(
        `${charge!.state} ${state} ${returned}`,
      );
    }
  });
});

describe("undoing a payment", () => {
  test("sends captured money back once and drops an authorization once", async () => {
    for (const [capture, state, event] of [
      [true, PaymentState.REFUNDED, "PaymentRefunded"],
      [false, PaymentState.VOIDED, "PaymentVoided"],
    ] as const) {
      const asked = await paid("tok_ok", { capture });
      await times(3, () => checkout().voidPayment(asked));
      expect((await checkout().voidPayment(asked)).payment?.state).toBe(state);
      expect((await books(asked.paymentId)).charge?.refunded).toBe(capture ? "4299" : "0");
      expect((await events(asked.paymentId)).slice(1)).toEqual([event]);
    }
  });

  test("before it began lets it no longer begin, and a question finds it undone", async () => {
    const asked = attempt("tok_ok");
    const { payment } = await checkout().voidPayment(asked);
    expect(payment?.state).toBe(PaymentState.VOIDED);
    expect(await reasonOf(checkout().authorizePayment(asked))).toBe("PAYMENT_EXISTS");
    expect((await books(asked.paymentId)).charge).toBeUndefined();
    const found = await checkout().authorizePayment({ ...asked, token: "" });
    expect(found.payment?.state).toBe(PaymentState.VOIDED);
  });

  test("whose outcome is unknown finds the money and sends it back", async () => {
    const asked = await paid("tok_lost");
    expect((await checkout().voidPayment(asked)).payment?.state).toBe(PaymentState.REFUNDED);
    expect(await books(asked.paymentId)).toMatchObject({ charge: { refunded: "4299" }, returned: "4299" });
  });

  test("whose refund gets no answer is finished by the sweeper, once", async () => {
    const asked = await paid("tok_refund_lost");
    expect((await checkout().voidPayment(asked)).payment?.state).toBe(PaymentState.CAPTURED);
    await sweepAfter(1);
    expect(await books(asked.paymentId)).toMatchObject({
      charge: { refunded: "4299" },
      state: "REFUNDED",
      returned: "4299",
    });
  });

  test("is tried again and again when the provider refuses the refund", async () => {
    const asked = await paid("tok_refund_refused");
    await checkout().voidPayment(asked);
    expect(await books(asked.paymentId)).toMatchObject({ state: "CAPTURED", refunded: "0" });
    await mall.db.sql.unsafe("update payment.fake_charges set token = 'tok_ok' where key = $1", [
      asked.paymentId,
    ]);
    await sweepAfter(1);
    expect(await books(asked.paymentId)).toMatchObject({ state: "REFUNDED", returned: "4299" });
  });
});

describe("closing an order", () => {
  const close = (orderId: string) => order().voidOrderPayments({ orderId });

  test("sends its money back and lets no later payment begin", async () => {
    const asked = await paid();
    await times(3, () => close(asked.orderId));
    await close(asked.orderId);
    expect(await books(asked.paymentId)).toMatchObject({ charge: { refunded: "4299" }, state: "REFUNDED" });
    const late = attempt("tok_ok", { orderId: asked.orderId });
    expect(await reasonOf(checkout().authorizePayment(late))).toBe("PAYMENT_STATE_INVALID");
    expect((await books(late.paymentId)).charge).toBeUndefined();
  });

  test("sends back what a partial refund left", async () => {
    const asked = await paid();
    await clerk().createRefund({ paymentId: asked.paymentId, amount: usd(1000n) });
    mall.clock.advance(1);
    await close(asked.orderId);
    expect(await books(asked.paymentId)).toMatchObject({ charge: { refunded: "4299" }, state: "REFUNDED" });
    const { payment } = await clerk().getPayment(asked);
    expect(payment?.refunds.map((r) => r.amount?.minor)).toEqual([1000n, 3299n]);
  });

  test("without a payment is no error, and lets none begin", async () => {
    const orderId = mall.newId("ord");
    await times(5, () => close(orderId));
    expect(await reasonOf(checkout().authorizePayment(attempt("tok_ok", { orderId })))).toBe(
      "PAYMENT_STATE_INVALID",
    );
  });

  test("at the moment a payment begins leaves no money behind", async () => {
    for (let trial = 0; trial < 40; trial++) {
      const asked = attempt("tok_ok");
      await Promise.allSettled([checkout().authorizePayment(asked), close(asked.orderId)]);
      await sweepAfter(10);
      const { charge } = await books(asked.paymentId);
      const kept = charge?.state === "captured" ? BigInt(charge.amount) - BigInt(charge.refunded) : 0n;
      expect(kept).toBe(0n);
      expect(await reasonOf(checkout().authorizePayment(attempt("tok_ok", { orderId: asked.orderId })))).toBe(
        "PAYMENT_STATE_INVALID",
      );
    }
  });
});

describe("a refund", () => {
  test("sends a part back, then the rest, and the payment says so", async () => {
    const { paymentId } = await paid();
    const { refund } = await clerk().createRefund({ paymentId, amount: usd(1299n), reason: "broken" });
    expect(refund).toMatchObject({
      state: RefundState.SUCCEEDED,
      reason: "broken",
      amount: { minor: 1299n },
    });
    const { payment } = await clerk().getPayment({ paymentId });
    expect(payment).toMatchObject({ state: PaymentState.CAPTURED, refunded: { minor: 1299n } });
    const rest = await clerk().createRefund({ paymentId });
    expect(rest.refund).toMatchObject({ state: RefundState.SUCCEEDED, amount: { minor: 3000n } });
    expect(await books(paymentId)).toMatchObject({ charge: { refunded: "4299" }, state: "REFUNDED" });
    expect(await events(paymentId)).toEqual(["PaymentCaptured", "PaymentRefunded", "PaymentRefunded"]);
    const data = await mall.db.sql.unsafe<{ data: Record<string, unknown> }[]>(
      "select data from payment.outbox where subject = $1 order by sequence offset 1",
      [paymentId],
    );
    expect(data.map((row) => row.data)).toMatchObject([
      { refundId: refund!.id, amountMinor: "1299", refundedMinor: "1299", currency: "USD", inFull: false },
      { amountMinor: "3000", refundedMinor: "4299", inFull: true },
    ]);
  });

  test("keeps what staff say about it sealed, until its payer is erased", async () => {
    const user = mall.newId("usr");
    const { paymentId } = await paid("tok_ok", { userId: user });
    const reason = "scratched on Elm Street";
    const { refund } = await clerk().createRefund({ paymentId, amount: usd(1n), reason });
    const told = async () => {
      const { payment } = await clerk().getPayment({ paymentId });
      return payment!.refunds.map((each) => each.reason);
    };
    const [row] = await mall.db
      .sql`select reason, personal from payment.refunds where id = ${uuidOf(refund!.id)}`;
    expect(row!.reason).toBe("");
    expect((row!.personal as Buffer).includes("Elm")).toBe(false);
    expect(await told()).toEqual([reason]);
    await mall.db
      .sql`update payment.refunds set personal = null, reason = 'as it was' where id = ${uuidOf(refund!.id)}`;
    expect(await told()).toEqual(["as it was"]);
    expect(await mall.app.dataKeys.seal()).toBe(1);
    expect(await told()).toEqual(["as it was"]);
    await mall.app.dataKeys.erase(user);
    expect(await told()).toEqual([""]);
    const later = await clerk().createRefund({ paymentId, amount: usd(1n), reason });
    expect(later.refund).toMatchObject({ state: RefundState.SUCCEEDED, reason: "" });
  });

  test("of more than is left, in another currency or of no money is refused and changes nothing", async () => {
    const { paymentId } = await paid();
    const refused = (amount: { currency: string; minor: bigint }) =>
      reasonOf(clerk().createRefund({ paymentId, amount }));
    expect(await refused(usd(4300n))).toBe("REFUND_EXCEEDS_PAYMENT");
    expect(await refused({ currency: "EUR", minor: 1n })).toBe("VALIDATION");
    expect(await refused(usd(0n))).toBe("VALIDATION");
    expect(await refused(usd(-1n))).toBe("VALIDATION");
    const declined = await paid("tok_declined");
    expect(await reasonOf(clerk().createRefund(declined))).toBe("PAYMENT_STATE_INVALID");
    expect(await reasonOf(clerk().createRefund({ paymentId: mall.newId("pay") }))).toBe("PAYMENT_NOT_FOUND");
    expect(await books(paymentId)).toMatchObject({ refunded: "0", charge: { refunded: "0" } });
  });

  test("is in the audit log once, and one that was refused with its reason", async () => {
    const { paymentId } = await paid();
    const idempotencyKey = crypto.randomUUID();
    const refund = (minor: bigint, key: string) =>
      mall
        .client(PaymentService, { user: staff, idempotencyKey: key })
        .createRefund({ paymentId, amount: usd(minor) });
    const sent = await refund(100n, idempotencyKey);
    await refund(100n, idempotencyKey);
    mall.clock.advance(1);
    expect(await reasonOf(refund(4300n, crypto.randomUUID()))).toBe("REFUND_EXCEEDS_PAYMENT");
    const actor = { kind: "user" as const, id: staff.id };
    expect(await mall.audit({ subject: paymentId })).toMatchObject([
      { action: "CreateRefund", outcome: "refused", reason: "REFUND_EXCEEDS_PAYMENT", actor },
      {
        ...{ action: "CreateRefund", outcome: "ok", actor },
        metadata: { refundId: sent.refund!.id, amountMinor: "100", currency: "USD" },
      },
    ]);
  });

  test("is for staff only and needs a key", async () => {
    const { paymentId } = await paid();
    const customer = { id: staff.id, roles: ["customer"] };
    const as = (user: typeof customer | undefined, idempotencyKey?: string) =>
      reasonOf(mall.client(PaymentService, { user, idempotencyKey }).createRefund({ paymentId }));
    expect(await as(customer, "k")).toBe("FORBIDDEN");
    expect(await as(undefined, "k")).toBe("UNAUTHENTICATED");
    expect(await as(staff)).toBe("IDEMPOTENCY_KEY_REQUIRED");
    expect(await reasonOf(mall.client(PaymentService, { user: customer }).getPayment({ paymentId }))).toBe(
      "FORBIDDEN",
    );
    expect((await books(paymentId)).charge?.refunded).toBe("0");
  });

  test("never exceeds the payment by a unit, however many are asked for at once", async () => {
    const { paymentId } = await paid("tok_ok", { minor: 1000n });
    const asked = Array.from({ length: 100 }, (_, n) => BigInt(1 + (n % 37)));
    const results = await Promise.allSettled(
      asked.map((minor) => clerk().createRefund({ paymentId, amount: usd(minor) })),
    );
    const sent = asked.filter((_, n) => results[n]!.status === "fulfilled").reduce((a, b) => a + b, 0n);
    const { charge, refunded, returned } = await books(paymentId);
    expect(sent).toBeLessThanOrEqual(1000n);
    expect([charge!.refunded, refunded, returned]).toEqual([String(sent), String(sent), String(sent)]);
    const reasons = results.flatMap((r) => (r.status === "rejected" ? [faultInfo(r.reason)?.reason] : []));
    expect(new Set(reasons).difference(new Set(["REFUND_EXCEEDS_PAYMENT", "PAYMENT_STATE_INVALID"]))).toEqual(
      new Set(),
    );
    expect(reasons.length).toBeGreaterThan(0);
  });

  test("in full, asked for 100 times at once, is made once", async () => {
    const { paymentId } = await paid();
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, () => clerk().createRefund({ paymentId })),
    );
    expect(results.filter((r) => r.status === "fulfilled")).toHaveLength(1);
    expect(await books(paymentId)).toMatchObject({ charge: { refunded: "4299" }, state: "REFUNDED" });
  });

  test("whose answer is lost is PENDING, keeps its money set aside, and is finished without the caller", async () => {
    const { paymentId } = await paid("tok_refund_lost");
    const { refund } = await clerk().createRefund({ paymentId, amount: usd(4000n) });
    expect(refund?.state).toBe(RefundState.PENDING);
    expect(await reasonOf(clerk().createRefund({ paymentId, amount: usd(300n) }))).toBe(
      "REFUND_EXCEEDS_PAYMENT",
    );
    expect((await books(paymentId)).state).toBe("CAPTURED");
    await sweepAfter(1);
    const { payment } = await clerk().getPayment({ paymentId });
    expect(payment?.refunds.map((r) => r.state)).toEqual([RefundState.SUCCEEDED]);
    expect(await books(paymentId)).toMatchObject({ charge: { refunded: "4000" }, returned: "4000" });
    expect(await events(paymentId)).toEqual(["PaymentCaptured", "PaymentRefunded"]);
  });

  test("that the provider refuses is FAILED and gives the money back to the payment", async () => {
    const { paymentId } = await paid("tok_refund_refused");
    const { refund } = await clerk().createRefund({ paymentId });
    expect(refund?.state).toBe(RefundState.FAILED);
    expect(await books(paymentId)).toMatchObject({ state: "CAPTURED", refunded: "0", returned: "0" });
    expect(await events(paymentId)).toEqual(["PaymentCaptured"]);
  });

  test("is the same for the same key, also while its outcome is unknown", async () => {
    for (const token of ["tok_ok", "tok_refund_lost"]) {
      const { paymentId } = await paid(token);
      const key = crypto.randomUUID();
      const post = async () => {
        const header = await mall.headers({ user: staff, idempotencyKey: key });
        header.set("content-type", "application/json");
        const body = JSON.stringify({ amount: { currency: "USD", minor: "5" }, reason: "x" });
        const url = `http://payment/v1/payments/${paymentId}/refunds`;
        return mall.app.fetch(new Request(url, { method: "POST", headers: header, body }));
      };
      const first = await post();
      expect(first.status).toBe(201);
      const bytes = await first.text();
      if (token === "tok_refund_lost") await sweepAfter(1);
      const again = await post();
      expect([again.status, again.headers.get("idempotent-replayed"), await again.text()]).toEqual([
        ...[201, "true", bytes],
      ] as never);
      expect((await books(paymentId)).charge?.refunded).toBe("5");
      expect(await reasonOf(clerk(key).createRefund({ paymentId, amount: usd(6n), reason: "x" }))).toBe(
        "IDEMPOTENCY_KEY_REUSED",
      );
    }
  });

  test("asked for 20 times at once with one key is made once", async () => {
    const { paymentId } = await paid();
    const key = crypto.randomUUID();
    await Promise.allSettled(
      Array.from({ length: 20 }, () => clerk(key).createRefund({ paymentId, amount: usd(7n) })),
    );
    expect((await books(paymentId)).charge?.refunded).toBe("7");
  });
});

describe("the payments of an order", () => {
  test("are listed with their refunds to the user who paid, and to nobody else", async () => {
    const user = { id: mall.newId("usr") };
    const asked = { ...attempt("tok_ok"), userId: user.id };
    await checkout().authorizePayment(asked);
    await clerk().createRefund({ paymentId: asked.paymentId, amount: usd(99n) });
    const list = (as: { id: string }) =>
      mall.client(PaymentService, { user: as }).listPayments({ orderId: asked.orderId });
    const { payments } = await list(user);
    expect(payments.map((p) => [p.id, p.refunded?.minor, p.refunds.length])).toEqual([
      [asked.paymentId, 99n, 1],
    ]);
    expect((await list({ id: mall.newId("usr") })).payments).toEqual([]);
  });
});

test("reconciling finds what the provider's books say otherwise, and nothing else", async () => {
  const whole = async () => {
    const found: { paymentId: string; field: string; ours?: bigint; theirs?: bigint }[] = [];
    let [checked, pageToken] = [0, ""];
    do {
      const page = await cli().reconcilePayments({ pageToken });
      checked += page.checked;
      pageToken = page.nextPageToken;
      for (const { paymentId, field, ours, theirs } of page.differences)
        found.push({ paymentId, field, ours: ours?.minor, theirs: theirs?.minor });
    } while (pageToken !== "");
    return { checked, found };
  };
  await sweepAfter(60);
  const { checked, found } = await whole();
  expect(checked).toBeGreaterThan(50);
  expect(found).toEqual([]);
  const kept = await paid();
  mall.clock.advance(1);
  const gone = await paid();
  const set = (column: string, id: string) =>
    mall.db.sql.unsafe(`update payment.fake_charges set ${column} where key = $1`, [id]);
  await set("refunded = 1", kept.paymentId);
  await set("state = 'voided'", gone.paymentId);
  expect((await whole()).found).toEqual([
    { paymentId: kept.paymentId, field: "refunded", ours: 0n, theirs: 1n },
    { paymentId: gone.paymentId, field: "captured", ours: 4299n, theirs: 0n },
  ]);
});

test("the fake provider takes no webhooks", async () => {
  for (const name of ["fake", "stripe", "other"]) {
    const request = new Request(`http://payment/webhooks/payments/${name}`, { method: "POST", body: "{}" });
    expect((await mall.app.fetch(request)).status).toBe(404);
  }
});

describe("the service does not start", () => {
  const start = (env: Record<string, string>) => {
    const resources = {
      env: { MALL_MASTER_KEY: "a master key that is for nothing but this test", ...env },
      db: mall.db,
      registry: { transport: () => ({}), fetch: () => ({}) },
      clock: () => new Date(),
      background: () => {},
    };
    return () => createPaymentService(resources as never);
  };

  test("in production with the fake provider, unless that is asked for", () => {
    expect(start({ MALL_ENV: "production" })).toThrow("PAYMENT_ALLOW_FAKE");
    expect(start({ MALL_ENV: "production", PAYMENT_ALLOW_FAKE: "1" })).not.toThrow();
  });

  test("with stripe and without its secrets", () => {
    const stripe = { PAYMENT_PROVIDER: "stripe" };
    expect(start(stripe)).toThrow("STRIPE_SECRET_KEY: must be set");
    expect(start({ ...stripe, STRIPE_SECRET_KEY: "sk_test_x" })).toThrow(/^(?!.*SECRET_KEY).*WEBHOOK/s);
    expect(start({ ...stripe, STRIPE_SECRET_KEY: "sk", STRIPE_WEBHOOK_SECRET: "w" })).not.toThrow();
  });
});
