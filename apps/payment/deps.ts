import type { Kernel } from "@mall/kernel/app";
import type { PaymentProvider } from "./providers/port";

/** What the payment service needs. */
export interface Deps extends Pick<Kernel, "db" | "clock" | "announce" | "secrets" | "log"> {
  provider: PaymentProvider;
  /** Currency of the mall, for tombstones of payments that never began. */
  currency: string;
}
