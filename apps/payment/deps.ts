import type { Kernel } from "@mall/kernel/app";
import type { PersonalRows } from "@mall/kernel/personal/personal";
import type { Answer } from "@mall/kernel/rpc/idempotency";
import type { Refund, RefundNote } from "./domain/refund";
import type { PaymentProvider } from "./providers/port";

/** What the payment service needs. */
export interface Deps
  extends Pick<
    Kernel,
    "db" | "clock" | "newId" | "announce" | "answers" | "secrets" | "log" | "audit" | "personal"
  > {
  provider: PaymentProvider;
  /** What staff say about refunds. */
  notes: PersonalRows<RefundNote>;
  /** Currency of the mall, for payments that never began. */
  currency: string;
  /** Seconds after which an authorization that nobody captured is dropped. */
  openTtlSeconds: number;
  /** The answer that the key of a refund replays. */
  refundAnswer(refund: Refund): Answer;
}
