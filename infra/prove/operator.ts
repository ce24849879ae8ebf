import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { buildMall, type Mall } from "@mall/mall/mall";
import type { Cluster } from "./cluster";

/** Does something that only an operator may do, as the command line does: in a mall in this process. */
export async function asOperator<T>(cluster: Cluster, work: (mall: Mall) => Promise<T>): Promise<T> {
  const mall = buildMall({ ...cluster.env, LOG_LEVEL: "error" });
  try {
    return await work(mall);
  } finally {
    await mall.close();
  }
}

/** Creates a coupon of `amountMinor` off that `limit` purchases may use. */
export const makeCoupon = (
  cluster: Cluster,
  code: string,
  amountMinor: number,
  limit: number,
): Promise<void> =>
  asOperator(cluster, async (mall) => {
    await mall
      .client(CartService)
      .createCoupon(
        { code, amount: { currency: "USD", minor: BigInt(amountMinor) }, redemptionLimit: limit },
        { headers: { "idempotency-key": crypto.randomUUID() } },
      );
  });
