import { orderEvents } from "@mall/db/order";
import type { Session } from "@mall/kernel/db/client";
import { orm, type Params, statement } from "@mall/kernel/db/statement";
import type { Id } from "@mall/kernel/id";
import { and, asc, eq, gt } from "drizzle-orm";
import type { OrderEvent } from "../domain/order";

const selectEvents = statement(
  "list_order_events",
  (p: Params<{ orderId: string; after: number; limit: number }>) =>
    orm
      .select()
      .from(orderEvents)
      .where(and(eq(orderEvents.orderId, p.orderId), gt(orderEvents.sequence, p.after)))
      .orderBy(asc(orderEvents.sequence))
      .limit(p.limit),
);

/** Up to `limit` entries after a sequence, oldest first. */
export const listEvents = (
  session: Session,
  orderId: Id<"ord">,
  after: number,
  limit: number,
): Promise<OrderEvent[]> => selectEvents(session, { orderId, after, limit });
