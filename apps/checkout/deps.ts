import type { Client } from "@connectrpc/connect";
import type { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import type { Order, OrderService } from "@mall/gen/mall/order/v1/order_pb";
import type { PaymentService } from "@mall/gen/mall/payment/v1/payment_pb";
import type { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import type { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import type { Kernel } from "@mall/kernel/app";
import type { Breaker } from "@mall/kernel/breaker";
import type { Checkout } from "./domain/checkout";

/** What a request about a checkout is answered with. */
export interface CheckoutAnswer {
  checkout: Checkout;
  order: Order | undefined;
  /** Of a guest's new order. */
  orderSecret?: string;
}

/** What the checkout service needs. */
export interface Deps
  extends Pick<Kernel, "db" | "clock" | "newId" | "announce" | "answers" | "secrets" | "log"> {
  rpc: {
    cart: Client<typeof CartService>;
    product: Client<typeof ProductService>;
    inventory: Client<typeof InventoryService>;
    order: Client<typeof OrderService>;
    payment: Client<typeof PaymentService>;
  };
  /** The response message of an RPC in bytes, for the answer that its key replays. */
  encodeAnswer(rpc: string, answer: CheckoutAnswer): { status: number; message: Uint8Array };
  currency: string;
  /** Whether the payment service answers. */
  payments: Breaker;
  /** Seconds the units of an unpaid order are on hold. */
  holdTtlSeconds(): number;
  /** Seconds an order may stay unpaid before it is cancelled. */
  unpaidOrderTtlSeconds(): number;
}
