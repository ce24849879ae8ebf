import { Code, ConnectError } from "@connectrpc/connect";
import type { Address } from "@mall/gen/mall/common/v1/address_pb";
import { faultInfo, hasReason } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Actor } from "@mall/kernel/identity/actor";
import type { Money } from "@mall/kernel/money";
import { zero } from "@mall/kernel/money";
import { refOf, type Ticket } from "@mall/kernel/rpc/idempotency";
import { later } from "@mall/kernel/time";
import { deleteCheckout, insertCheckout, moveCheckout } from "../db/checkouts";
import type { CheckoutAnswer, Deps } from "../deps";
import type { Checkout } from "../domain/checkout";
import { checkDestination } from "../domain/destination";
import { interrupted } from "../domain/faults";
import { checkShippingOption } from "../domain/rates";
import { compensate } from "./compensate";
import { checkPayments, orderSecretOf, type PaymentInput, pay } from "./pay";
import { checkExpectedTotal, price } from "./price";
import {
  checkLease,
  createOrder,
  leaseSeconds,
  lockCart,
  type Run,
  redeemCoupon,
  reserveStock,
  type Step,
} from "./steps";

export interface PlaceOrder {
  cartId: Id<"cart">;
  email: string;
  shippingAddress: Address;
  shippingOption: string;
  payment?: PaymentInput;
  expectedTotal?: Money;
}

/** A placed order; `pending` while the outcome of its payment is not known. */
export type Placed = CheckoutAnswer & { pending: boolean };

/** Takes the key and stores the checkout, before anything else happens. */
async function start(deps: Deps, actor: Actor, input: PlaceOrder, ticket: Ticket): Promise<Checkout> {
  const now = deps.clock();
  const checkout: Checkout = {
    ...{ id: deps.newId("chk"), cartId: input.cartId, userId: actor.user?.id, state: "STARTED" },
    ...{ orderId: deps.newId("ord"), paymentId: deps.newId("pay"), paysAtOnce: input.payment !== undefined },
    ...{
      total: zero(deps.currency),
      failureReason: "",
      owes: refOf(ticket),
      leaseUntil: later(now, leaseSeconds),
    },
    ...{ version: 1, createdAt: now, updatedAt: now },
  };
  await deps.db.tx(async (tx) => {
    await deps.answers.take(tx, ticket);
    await insertCheckout(tx, checkout);
  });
  return checkout;
}

/** Whether an error is the neighbour's definite refusal, so that its step did nothing. */
const isDefinite = (error: unknown): boolean => {
  const unsure = [Code.Unavailable, Code.DeadlineExceeded, Code.Canceled, Code.Internal, Code.Unknown];
  return faultInfo(error) !== undefined && !unsure.includes(ConnectError.from(error).code);
};

/** What a neighbour answers to a step whose undo came first: the sweeper took the checkout over. */
const isOvertaken = (error: unknown): boolean =>
  hasReason(error, "LOCK_ENDED", "HOLD_ENDED", "ORDER_STATE_INVALID");

/**
 * Locks the cart, prices it, redeems its coupon, reserves its units and creates the order. When one of them fails, those
 * that may have had an effect are undone.
 */
async function prepare(deps: Deps, run: Run, input: PlaceOrder): Promise<void> {
  const begun: Step[] = [];
  const step = async (next: Step): Promise<void> => {
    checkLease(deps, run.checkout);
    begun.push(next);
    try {
      await next.do(deps, run);
    } catch (error) {
      if (isDefinite(error)) begun.pop();
      throw error;
    }
  };
  try {
    await step(lockCart);
    run.purchase = await price(
      deps,
      run.items,
      input.shippingAddress,
      input.shippingOption,
      run.coupon?.amount,
    );
    checkExpectedTotal(input.expectedTotal, run.purchase.totals.total);
    if (run.coupon) await step(redeemCoupon);
    await step(reserveStock);
    await step(createOrder);
  } catch (error) {
    if (begun.length === 0) await forget(deps, run.checkout);
    else await compensate(deps, run.checkout, faultInfo(error)?.reason ?? "INTERRUPTED", error, begun);
    throw isOvertaken(error) ? interrupted() : error;
  }
}

/** A cart that could not be locked leaves no trace. */
async function forget(deps: Deps, checkout: Checkout): Promise<void> {
  await deps.db.tx(async (tx) => {
    await deleteCheckout(tx, checkout.id);
    await deps.answers.abandon(tx, checkout.owes!);
  });
}

async function awaitPayment(deps: Deps, run: Run, total: Money): Promise<Placed> {
  return deps.db.tx(async (tx) => {
    const change = { total, expiresAt: run.orderUntil, owes: undefined };
    const waiting = await moveCheckout(tx, run.checkout, "AWAITING_PAYMENT", change, deps.clock());
    if (!waiting) throw interrupted();
    const answer = { checkout: waiting, order: run.order, orderSecret: orderSecretOf(deps, waiting) };
    const owes = run.checkout.owes!;
    await deps.answers.settle(tx, owes, { kind: "message", ...deps.encodeAnswer(owes.rpc, answer) });
    return { ...answer, pending: false };
  });
}

/**
 * Turns a cart into an order and, when payment is given, takes the money. Faults: those of the cart, ITEM_UNAVAILABLE,
 * PRICE_CHANGED, OUT_OF_STOCK, PAYMENT_DECLINED, SERVICE_UNAVAILABLE; after each of them nothing is held, charged or
 * locked.
 */
export const placeOrder =
  (deps: Deps) =>
  async (actor: Actor, input: PlaceOrder, ticket: Ticket): Promise<Placed> => {
    checkDestination(input.shippingAddress);
    checkShippingOption(input.shippingOption);
    if (input.payment) checkPayments(deps);
    const checkout = await start(deps, actor, input, ticket);
    const until = (seconds: number) => (input.payment ? undefined : later(checkout.createdAt, seconds));
    const [holdUntil, orderUntil] = [until(deps.holdTtlSeconds()), until(deps.unpaidOrderTtlSeconds())];
    const run: Run = { ...input, checkout, holdUntil, orderUntil, items: [] };
    await prepare(deps, run, input);
    const total = run.purchase!.totals.total;
    if (!input.payment) return awaitPayment(deps, run, total);
    const leaseUntil = later(deps.clock(), leaseSeconds);
    const ordered = await moveCheckout(deps.db, checkout, "ORDERED", { total, leaseUntil }, deps.clock());
    if (!ordered) throw interrupted();
    const result = await pay(deps, ordered, input.payment);
    const order = result.kind === "completed" ? result.order : run.order;
    return {
      checkout: result.checkout,
      order,
      orderSecret: orderSecretOf(deps, checkout),
      pending: result.kind === "pending",
    };
  };
