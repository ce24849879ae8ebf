import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { bunPasswords } from "@mall/auth/password/bun";
import { createAuthCommands } from "@mall/auth/service";
import { baseEnv, parseEnv } from "@mall/kernel/env";
import { serviceTokens } from "@mall/kernel/identity/service-token";
import { staticRegistry } from "@mall/kernel/registry/http";
import { clientOf } from "@mall/kernel/rpc/client";
import { type CallerName, serviceNames } from "@mall/kernel/topology";
import { buildMall } from "@mall/mall/mall";
import type { Identity } from "./browser";
import type { Cluster } from "./cluster";
import { must } from "./proof";
import type { Shop } from "./shop";

const clock = () => new Date();

/** Service tokens as a service of the cluster makes them. */
export const tokensOf = (cluster: Cluster, caller: CallerName) =>
  serviceTokens(parseEnv(baseEnv, cluster.env).MALL_MASTER_KEY, caller, clock);

/** A client of a service in the name of another one, in turn at each of its processes, past the tap. */
export function insider<S extends DescService>(cluster: Cluster, caller: CallerName, desc: S): Client<S> {
  const urls = serviceNames.map((service) => [
    `${service.toUpperCase()}_URL`,
    cluster
      .nodesOf(service)
      .map(({ url }) => url)
      .join(","),
  ]);
  return clientOf(desc, staticRegistry(Object.fromEntries(urls)), tokensOf(cluster, caller), clock);
}

/** Makes an administrator and signs it in. */
export async function newAdmin({ env }: Cluster, shop: Shop): Promise<Identity> {
  const email = `boss-${crypto.randomUUID()}@example.com`;
  const mall = buildMall({ ...env, LOG_LEVEL: "error" });
  try {
    const { password } = await createAuthCommands(mall.resourcesOf("auth"), bunPasswords()).createAdmin(
      email,
    );
    const login = await shop.insist<{ tokens: { accessToken: string } }>("POST", "/v1/auth/login", {
      email,
      password,
    });
    must(login.status === 200, () => `the administrator's login answered ${login.status} ${login.text}`);
    return { token: login.body.tokens.accessToken };
  } finally {
    await mall.close();
  }
}

/** A registered customer. */
export async function newCustomer(shop: Shop): Promise<Identity & { userId: string }> {
  const email = `user-${crypto.randomUUID()}@example.com`;
  const made = await shop.insist<{ user: { id: string }; tokens: { accessToken: string } }>(
    "POST",
    "/v1/auth/register",
    { email, password: "correct horse battery staple", displayName: "Ada" },
  );
  must(made.status === 201, () => `registering answered ${made.status} ${made.text}`);
  return { token: made.body.tokens.accessToken, userId: made.body.user.id };
}
