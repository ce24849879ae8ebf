import { fault, invalid } from "@mall/kernel/fault";
import type { Answer, Ticket } from "@mall/kernel/rpc/idempotency";
import { insertCoupon } from "../db/coupons";
import type { Deps } from "../deps";
import { type Coupon, normalCode } from "../domain/coupon";

/** What somebody says about a new coupon; the code in any case. */
export type CreateCoupon = Pick<Coupon, "code" | "amount" | "redemptionLimit" | "expiresAt">;

function checkAmount({ amount }: CreateCoupon, currency: string): void {
  if (amount.currency !== currency)
    throw invalid([{ pointer: "#/amount/currency", detail: `must be ${currency}` }]);
  if (amount.minor <= 0n) throw invalid([{ pointer: "#/amount/minor", detail: "must be more than 0" }]);
}

/**
 * Creates a coupon, once for its key; `answer` is the response that the key replays. Faults VALIDATION,
 * COUPON_CODE_TAKEN.
 */
export const createCoupon =
  (deps: Deps) =>
  async (input: CreateCoupon, ticket: Ticket, answer: (coupon: Coupon) => Answer): Promise<Coupon> => {
    checkAmount(input, deps.currency);
    const coupon: Coupon = {
      ...{ ...input, code: normalCode(input.code) },
      ...{ redeemed: 0, createdAt: deps.clock() },
    };
    return deps.db.tx(async (tx) => {
      await deps.answers.take(tx, ticket);
      if (!(await insertCoupon(tx, coupon))) {
        throw fault("already_exists", "COUPON_CODE_TAKEN", "There is a coupon with this code already.");
      }
      const metadata = { amountMinor: String(coupon.amount.minor), currency: coupon.amount.currency };
      await deps.audit.record(tx, { action: "CreateCoupon", subject: coupon.code, metadata });
      await deps.answers.settle(tx, ticket, answer(coupon));
      return coupon;
    });
  };
