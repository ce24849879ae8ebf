import type { Client } from "@connectrpc/connect";
import type { PaymentService } from "@mall/gen/mall/payment/v1/payment_pb";
import type { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import type { Kernel } from "@mall/kernel/app";
import type { PersonalRows } from "@mall/kernel/personal/personal";
import type { Person } from "./domain/order";

/** What the order service needs. */
export interface Deps
  extends Pick<Kernel, "db" | "clock" | "announce" | "secrets" | "log" | "audit" | "personal"> {
  /** What orders say about their buyers. */
  people: PersonalRows<Person>;
  rpc: { inventory: Client<typeof InventoryService>; payment: Client<typeof PaymentService> };
}
