import type { Client } from "@connectrpc/connect";
import type { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import type { Kernel } from "@mall/kernel/app";

/** What the cart service needs. */
export interface Deps extends Pick<Kernel, "db" | "clock" | "newId" | "secrets" | "answers" | "audit"> {
  rpc: { product: Client<typeof ProductService> };
  /** ISO 4217 code of all prices. */
  currency: string;
}
