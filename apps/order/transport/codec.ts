import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Address as AddressMessage } from "@mall/gen/mall/common/v1/address_pb";
import type { Line } from "@mall/gen/mall/common/v1/line_pb";
import {
  type CreateOrderRequest,
  type OrderEvent as OrderEventMessage,
  OrderEventSchema,
  type Order as OrderMessage,
  OrderSchema,
  OrderState as OrderStateMessage,
} from "@mall/gen/mall/order/v1/order_pb";
import type { Id } from "@mall/kernel/id";
import { moneyOf } from "@mall/kernel/money-codec";
import type { Address, Order, OrderDraft, OrderEvent, OrderLine } from "../domain/order";

/** An order of the domain as the contract shows it. */
export const orderToMessage = (order: Order): OrderMessage => create(OrderSchema, orderInit(order));

const orderInit = (order: Order): MessageInitShape<typeof OrderSchema> => ({
  id: order.id,
  number: order.number,
  state: OrderStateMessage[order.state],
  checkoutId: order.checkoutId,
  items: order.items,
  ...order.totals,
  email: order.person?.email ?? "",
  shippingAddress: order.person?.shippingAddress,
  shippingOption: order.shippingOption,
  cancelReason: order.person?.cancelWords ?? order.cancelReason,
  version: order.version,
  createdAt: timestampFromDate(order.createdAt),
  paidAt: order.paidAt && timestampFromDate(order.paidAt),
  cancelledAt: order.cancelledAt && timestampFromDate(order.cancelledAt),
  expiresAt: order.expiresAt && timestampFromDate(order.expiresAt),
  refundedTotal: order.refundedTotal,
});

/** An entry of the timeline as the contract shows it. */
export const eventToMessage = ({ id, kind, detail, at }: OrderEvent): OrderEventMessage =>
  create(OrderEventSchema, { id, kind, detail, at: timestampFromDate(at) });

const lineOf = (line: Line): OrderLine => ({
  variantId: line.variantId as Id<"var">,
  productId: line.productId as Id<"prod">,
  sku: line.sku,
  title: line.title,
  quantity: line.quantity,
  unitPrice: moneyOf(line.unitPrice),
  total: moneyOf(line.total),
});

const addressOf = ({ name, line1, line2, city, region, postalCode, country }: AddressMessage): Address => ({
  name,
  line1,
  line2,
  city,
  region,
  postalCode,
  country,
});

/** What a checkout asks to be ordered. */
export function draftOf(request: CreateOrderRequest): OrderDraft {
  const totals = request.totals!;
  return {
    id: request.orderId as Id<"ord">,
    checkoutId: request.checkoutId as Id<"chk">,
    userId: request.userId ? (request.userId as Id<"usr">) : undefined,
    items: request.items.map(lineOf),
    totals: {
      subtotal: moneyOf(totals.subtotal),
      discountTotal: moneyOf(totals.discountTotal),
      shippingTotal: moneyOf(totals.shippingTotal),
      taxTotal: moneyOf(totals.taxTotal),
      total: moneyOf(totals.total),
    },
    person: { email: request.email, shippingAddress: addressOf(request.shippingAddress!) },
    shippingOption: request.shippingOption,
    expiresAt: request.expiresAt && timestampDate(request.expiresAt),
  };
}
