import { timestampDate } from "@bufbuild/protobuf/wkt";
import { OrderService } from "@mall/gen/mall/order/v1/order_pb";
import { type Id, isId } from "@mall/kernel/id";
import { foreignToken, pagePosition, pageToken } from "@mall/kernel/page-token";
import { requestKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { abandonOrder } from "../application/abandon-order";
import { beginOrderPayment } from "../application/begin-order-payment";
import { cancelOrder } from "../application/cancel-order";
import { createOrder } from "../application/create-order";
import { endOrderPayment } from "../application/end-order-payment";
import { getOrder } from "../application/get-order";
import { listOrderEvents } from "../application/list-order-events";
import { listOrders } from "../application/list-orders";
import { markOrderPaid } from "../application/mark-order-paid";
import type { Deps } from "../deps";
import { draftOf, eventToMessage, orderToMessage } from "./codec";

/** The sequence in a page token of a timeline; 0 for the first page. */
function sequenceOf(query: string, token: string): number {
  const position = pagePosition(query, token);
  if (position === undefined) return 0;
  if (!/^[1-9]\d{0,8}$/.test(position)) throw foreignToken();
  return Number(position);
}

/** OrderService on the application's use cases. */
export const orderRpc = (deps: Deps): Implementation =>
  implement(OrderService, {
    async getOrder(request, context) {
      const { actor } = context.values.get(requestKey);
      return { order: orderToMessage(await getOrder(deps)(actor, request.orderId as Id<"ord">)) };
    },
    async listOrders(request, context) {
      const userId = context.values.get(requestKey).actor.user!.id;
      const after = pagePosition(`orders|${userId}`, request.pageToken);
      if (after !== undefined && !isId(after)) throw foreignToken();
      const page = await listOrders(deps)(userId, {
        size: request.pageSize ?? 20,
        after: after as Id<"ord"> | undefined,
      });
      return {
        orders: page.orders.map(orderToMessage),
        nextPageToken: page.next ? pageToken(`orders|${userId}`, page.next) : "",
      };
    },
    createOrder: async (request) => ({ order: orderToMessage(await createOrder(deps)(draftOf(request))) }),
    markOrderPaid: async (request) => ({
      order: orderToMessage(
        await markOrderPaid(deps)(request.orderId as Id<"ord">, request.paymentId as Id<"pay">),
      ),
    }),
    async listOrderEvents({ orderId, pageSize, pageToken: token }, context) {
      const query = `events|${orderId}`;
      const page = await listOrderEvents(deps)(context.values.get(requestKey).actor, orderId as Id<"ord">, {
        size: pageSize ?? 20,
        after: sequenceOf(query, token),
      });
      return {
        events: page.events.map(eventToMessage),
        nextPageToken: page.next ? pageToken(query, String(page.next)) : "",
      };
    },
    async beginOrderPayment({ orderId, sequence }) {
      await beginOrderPayment(deps)(orderId as Id<"ord">, sequence);
      return {};
    },
    async endOrderPayment({ orderId, expiresAt, sequence }) {
      await endOrderPayment(deps)(orderId as Id<"ord">, timestampDate(expiresAt!), sequence);
      return {};
    },
    async abandonOrder({ orderId, reason }) {
      await abandonOrder(deps)(orderId as Id<"ord">, reason);
      return {};
    },
    async cancelOrder({ orderId, reason }, context) {
      const { actor } = context.values.get(requestKey);
      return {
        order: orderToMessage(await cancelOrder(deps)(actor, orderId as Id<"ord">, reason)),
      };
    },
  });
