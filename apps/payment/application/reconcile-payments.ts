import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";
import { findPayment, listPage } from "../db/payments";
import type { Deps } from "../deps";
import { hasEnded, type Payment } from "../domain/payment";

const pageSize = 50;
const parallelMax = 5;
const first = `pay_${"0".repeat(26)}` as Id<"pay">;

/** Something in which our books and the provider's differ. */
export interface Difference {
  paymentId: Id<"pay">;
  field: "captured" | "refunded";
  ours: Money;
  theirs: Money;
}

async function differencesOf(deps: Deps, payment: Payment): Promise<Difference[]> {
  // the provider never heard of it
  if (payment.providerRef === "" && hasEnded(payment)) return [];
  const { captured, refunded } = await deps.provider.books(payment);
  const { id: paymentId, amount, returned, refunded: reserved } = payment;
  const money = (minor: bigint): Money => ({ currency: amount.currency, minor });
  // money on its way back may be in the provider's books already
  const isRefundedAlike = refunded >= returned && refunded <= reserved;
  return [
    ...(captured === payment.captured
      ? []
      : [{ paymentId, field: "captured", ours: money(payment.captured), theirs: money(captured) } as const]),
    ...(isRefundedAlike
      ? []
      : [{ paymentId, field: "refunded", ours: money(returned), theirs: money(refunded) } as const]),
  ];
}

/** Compares one payment; a difference is looked at twice, because either side may just be moving. */
async function compare(deps: Deps, payment: Payment): Promise<Difference[]> {
  try {
    const found = await differencesOf(deps, payment);
    if (found.length === 0) return [];
    return await differencesOf(deps, (await findPayment(deps.db, payment.id))!);
  } catch (error) {
    throw fault("unavailable", "SERVICE_UNAVAILABLE", "The payment provider cannot be asked.", {
      retryAfterSeconds: 1,
      cause: error,
    });
  }
}

/** Compares the 50 payments after one with the provider's books. Fault SERVICE_UNAVAILABLE. */
export const reconcilePayments =
  (deps: Deps) =>
  async (
    after = first,
  ): Promise<{ checked: number; differences: Difference[]; next: Id<"pay"> | undefined }> => {
    const page = await listPage(deps.db, deps.provider.name, after, pageSize);
    const differences: Difference[] = [];
    for (let at = 0; at < page.length; at += parallelMax) {
      const some = page.slice(at, at + parallelMax);
      differences.push(...(await Promise.all(some.map((payment) => compare(deps, payment)))).flat());
    }
    const next = page.length === pageSize ? page.at(-1)!.id : undefined;
    return { checked: page.length, differences, next };
  };
