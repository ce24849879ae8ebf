import type { Id } from "@mall/kernel/id";
import { releaseOnce } from "../db/coupons";
import type { Deps } from "../deps";

/** Gives the redemption of a checkout back, once. A checkout without one can no longer redeem. */
export const releaseCoupon =
  (deps: Pick<Deps, "db" | "clock">) =>
  (checkoutId: Id<"chk">): Promise<void> =>
    releaseOnce(deps.db, checkoutId, deps.clock());
