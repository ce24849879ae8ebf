import { OrderRefundedSchema } from "@mall/gen/mall/order/v1/events_pb";
import type { Tx } from "@mall/kernel/db/client";
import type { Id } from "@mall/kernel/id";
import { noteRefund } from "../db/orders";
import type { Deps } from "../deps";

/** Money of a payment went back; deliveries may come in any order, so the largest sum is the last. */
export const paymentRefunded =
  (deps: Deps) =>
  async (
    tx: Tx,
    orderId: Id<"ord">,
    refund: { refundedMinor: bigint; inFull: boolean; detail: string },
  ): Promise<void> => {
    const noted = await noteRefund(tx, orderId, refund, deps.clock());
    if (noted?.wasLast)
      await deps.announce(tx, {
        desc: OrderRefundedSchema,
        data: { orderId },
        subject: orderId,
        sequence: noted.version,
      });
  };
