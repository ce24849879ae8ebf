import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import {
  OrderCancelledSchema,
  OrderPaidSchema,
  OrderRefundedSchema,
} from "@mall/gen/mall/order/v1/events_pb";
import type { Tx } from "@mall/kernel/db/client";
import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findOrder, saveChange } from "../db/orders";
import type { Deps } from "../deps";
import { type Change, decide, isDue, type OrderCommand } from "../domain/decide";
import type { Order } from "../domain/order";
import { undoLeaseEnd } from "./undo";

/** What became of a command. */
export interface Outcome {
  order: Order;
  /** Undefined for a repetition that changed nothing. */
  change: Change | undefined;
}

type Store = Pick<Deps, "db" | "clock" | "announce" | "audit" | "people">;

/** Tells the mall what a change means for others. */
async function announceChange(deps: Store, tx: Tx, { order, event, isRefunded }: Change): Promise<void> {
  const { id: orderId, checkoutId, paymentId, version: sequence } = order;
  const tell = <D extends DescMessage>(desc: D, data: MessageInitShape<D>) =>
    deps.announce(tx, { desc, data, subject: orderId, sequence });
  if (event?.kind === "paid") await tell(OrderPaidSchema, { orderId, paymentId: paymentId! });
  if (event?.kind === "cancelled")
    await tell(OrderCancelledSchema, { orderId, checkoutId, reason: order.cancelReason });
  if (isRefunded) await tell(OrderRefundedSchema, { orderId });
}

/** Stores a decision with its events; false when the order was changed meanwhile, so that it decides again. */
async function store(deps: Store, tx: Tx, decidedOn: Order, change: Change): Promise<boolean> {
  const now = deps.clock();
  const undoDueAt = change.hasEffects ? undoLeaseEnd(now) : undefined;
  const isSaved = await saveChange(tx, deps.people, decidedOn, change, undoDueAt, now);
  if (isSaved) await announceChange(deps, tx, change);
  return isSaved;
}

/**
 * Loads, decides and saves inside a transaction; when another change came first, the order decides again as it is
 * then. Undefined when the order is due to expire: that has to be written down before anything else.
 */
export async function carryOutIn(
  deps: Store,
  tx: Tx,
  id: Id<"ord">,
  command: OrderCommand,
): Promise<Outcome | undefined> {
  for (;;) {
    const order = await findOrder(tx, deps.people, id);
    if (!order) throw notFound("ORDER");
    const now = deps.clock();
    if (isDue(order, now)) return undefined;
    const change = decide(order, command, now);
    if (!change) return { order, change };
    if (!(await store(deps, tx, order, change))) continue;
    if (command.verb === "cancel" && order.paymentId) {
      // money goes back; whoever has a stolen session or order secret can do it
      const metadata = { paymentId: order.paymentId };
      await deps.audit.record(tx, { action: "CancelOrder", subject: id, metadata });
    }
    return { order: change.order, change };
  }
}

/** Writes the expiry of an order down if it is due; nothing else happens to an order that is not. */
export async function expireIn(deps: Store, tx: Tx, id: Id<"ord">): Promise<void> {
  for (;;) {
    const order = await findOrder(tx, deps.people, id);
    const now = deps.clock();
    if (!order || !isDue(order, now)) return;
    if (await store(deps, tx, order, decide(order, { verb: "expire" }, now)!)) return;
  }
}

/**
 * Carries a command out in one transaction. What is refused because the order is past its expiry stays refused on
 * every instance, also one whose clock is behind: the expiry is committed first. Faults: ORDER_NOT_FOUND,
 * ORDER_STATE_INVALID, ORDER_PAYMENT_IN_PROGRESS, OVERTAKEN.
 */
export async function carryOut(deps: Store, id: Id<"ord">, command: OrderCommand): Promise<Outcome> {
  for (;;) {
    const outcome = await deps.db.tx((tx) => carryOutIn(deps, tx, id, command));
    if (outcome) return outcome;
    await deps.db.tx((tx) => expireIn(deps, tx, id));
  }
}
