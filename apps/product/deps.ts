import type { Kernel } from "@mall/kernel/app";

/** What the product service needs. */
export interface Deps
  extends Pick<Kernel, "db" | "clock" | "newId" | "announce" | "eventRows" | "answers" | "audit"> {
  /** Currency of all prices. */
  currency: string;
  /** Units that the expiring holds of one user may have together; undefined = any number. */
  unitsPerUserMax?: number;
  /** Available units at which a variant's stock is low. */
  lowAt: number;
}
