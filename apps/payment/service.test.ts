import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { PaymentService, PaymentState } from "@mall/gen/mall/payment/v1/payment_pb";
import { faultInfo } from "@mall/kernel/fault";
import { uuidOf } from "@mall/kernel/id";
import { type Harness, harness } from "@mall/kernel/testing/harness";
import { createPaymentService } from "./service";

let mall: Harness;
beforeAll(async () => {
  mall = await harness("payment", createPaymentService);
});
afterAll(() => mall.stop());

const checkout = () => mall.client(PaymentService, { service: "checkout" });

const attempt = (token: string, over: { orderId?: string; capture?: boolean } = {}) => ({
  paymentId: mall.newId("pay"),
  orderId: over.orderId ?? mall.newId("ord"),
  userId: "",
  amount: { currency: "USD", minor: 4299n },
  method: "fake",
  token,
  capture: over.capture ?? true,
});

/** What the provider's books and our row say about a payment. */
async function ledger(paymentId: string) {
  const [charge] = await mall.db.sql.unsafe<Record<string, string>[]>(
    "select state, amount::text, refunded::text from payment.fake_charges where key = $1",
    [paymentId],
  );
  const [row] = await mall.db.sql.unsafe("select state from payment.payments where id = $1", [
    uuidOf(paymentId),
  ]);
  return { charge: charge && { ...charge }, state: row?.state as string };
}

const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "none",
    (error) => faultInfo(error)?.reason,
  );

describe("a payment", () => {
  test("is captured once, however often it is asked for", async () => {
    const asked = attempt("tok_ok");
    const answers = await Promise.all(Array.from({ length: 10 }, () => checkout().authorizePayment(asked)));
    expect(answers.some((a) => a.payment?.state === PaymentState.CAPTURED)).toBe(true);
    const { payment } = await checkout().authorizePayment({ ...asked, token: "" });
    expect(payment?.state).toBe(PaymentState.CAPTURED);
    expect(await ledger(asked.paymentId)).toEqual({
      charge: { state: "captured", amount: "4299", refunded: "0" },
      state: "CAPTURED",
    });
  });

  test("that is declined says why and takes nothing", async () => {
    const { payment } = await checkout().authorizePayment(attempt("tok_insufficient_funds"));
    expect([payment?.state, payment?.declineCode]).toEqual([PaymentState.DECLINED, "insufficient_funds"]);
  });

  test("whose answer is lost is processing, never declined, and is found captured when asked again", async () => {
    const asked = attempt("tok_lost");
    expect((await checkout().authorizePayment(asked)).payment?.state).toBe(PaymentState.PROCESSING);
    expect((await checkout().authorizePayment({ ...asked, token: "" })).payment?.state).toBe(
      PaymentState.CAPTURED,
    );
  });

  test("that never reached the provider is closed when asked again", async () => {
    const asked = attempt("tok_error");
    expect((await checkout().authorizePayment(asked)).payment?.state).toBe(PaymentState.PROCESSING);
    expect((await checkout().authorizePayment({ ...asked, token: "" })).payment?.state).toBe(
      PaymentState.VOIDED,
    );
  });

  test("is authorized first and captured later when asked to", async () => {
    const asked = attempt("tok_ok", { capture: false });
    expect((await checkout().authorizePayment(asked)).payment?.state).toBe(PaymentState.AUTHORIZED);
    expect((await checkout().capturePayment({ paymentId: asked.paymentId })).payment?.state).toBe(
      PaymentState.CAPTURED,
    );
    expect((await checkout().capturePayment({ paymentId: asked.paymentId })).payment?.state).toBe(
      PaymentState.CAPTURED,
    );
  });

  test("is undone: captured money goes back once, an authorization is dropped", async () => {
    for (const [capture, state] of [
      [true, PaymentState.REFUNDED],
      [false, PaymentState.VOIDED],
    ] as const) {
      const asked = attempt("tok_ok", { capture });
      await checkout().authorizePayment(asked);
      const undo = () => checkout().voidPayment({ paymentId: asked.paymentId, orderId: asked.orderId });
      const answers = await Promise.all([undo(), undo(), undo()]);
      expect(answers.map((a) => a.payment?.state)).toEqual([state, state, state]);
      expect((await ledger(asked.paymentId)).charge?.refunded).toBe(capture ? "4299" : "0");
    }
  });

  test("that was undone before it began can no longer begin", async () => {
    const asked = attempt("tok_ok");
    const { payment } = await checkout().voidPayment({ paymentId: asked.paymentId, orderId: asked.orderId });
    expect(payment?.state).toBe(PaymentState.VOIDED);
    expect(await reasonOf(checkout().authorizePayment(asked))).toBe("PAYMENT_EXISTS");
    expect((await ledger(asked.paymentId)).charge).toBeUndefined();
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

  test("card numbers and unknown methods are refused", async () => {
    expect(await reasonOf(checkout().authorizePayment({ ...attempt("tok_ok"), method: "cash" }))).toBe(
      "PAYMENT_METHOD_UNKNOWN",
    );
  });
});

test("production refuses the fake provider unless it is asked for", () => {
  const env = { MALL_ENV: "production", MALL_MASTER_KEY: "x".repeat(40) };
  const resources = {
    env,
    db: mall.db,
    registry: { transport: () => ({}), fetch: () => ({}) },
    clock: () => new Date(),
    background: () => {},
  };
  expect(() => createPaymentService(resources as never)).toThrow("PAYMENT_ALLOW_FAKE");
});
