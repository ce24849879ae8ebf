import type { Kernel } from "@mall/kernel/app";

/** What the product service needs. */
export interface Deps extends Pick<Kernel, "db" | "clock" | "newId" | "announce" | "answers"> {
  /** Currency of all prices. */
  currency: string;
}
