import { bunPasswords } from "@mall/auth/password/bun";
import { createAuthCommands } from "@mall/auth/service";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { buildMall, type Mall } from "@mall/mall/mall";
import type { Identity } from "./browser";
import type { Cluster } from "./cluster";
import { must } from "./proof";
import type { Shop } from "./shop";

/** Does something that only an operator may do, as the command line does: in a mall in this process. */
export async function asOperator<T>(
  cluster: Pick<Cluster, "env">,
  work: (mall: Mall) => Promise<T>,
): Promise<T> {
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

/** Makes an administrator and signs it in. */
export async function newAdmin(cluster: Cluster, shop: Shop): Promise<Identity> {
  const email = `boss-${crypto.randomUUID()}@example.com`;
  const { password } = await asOperator(cluster, (mall) =>
    createAuthCommands(mall.resourcesOf("auth"), bunPasswords()).createAdmin(email),
  );
  const credentials = { email, password };
  const login = await shop.insist<{ tokens: { accessToken: string } }>("POST", "/v1/auth/login", credentials);
  must(login.status === 200, () => `the administrator's login answered ${login.status} ${login.text}`);
  return { token: login.body.tokens.accessToken };
}
