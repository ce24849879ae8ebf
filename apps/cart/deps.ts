import type { Client } from "@connectrpc/connect";
import type { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import type { Kernel, Resources } from "@mall/kernel/app";
import type { Cache } from "@mall/kernel/cache/port";

/** What the cart service needs. */
export interface Deps
  extends Pick<Kernel, "db" | "clock" | "newId" | "secrets" | "answers" | "audit" | "metrics"> {
  rpc: { product: Client<typeof ProductService> };
  /** ISO 4217 code of all prices. */
  currency: string;
  cache: Cache;
  /** Milliseconds that an offer is shown before the catalogue is asked for it again; 0 keeps none. */
  offersKeptMs: number;
  /** Keeps work alive that goes on after the answer. */
  background: Resources["background"];
}
