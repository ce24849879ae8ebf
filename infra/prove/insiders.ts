import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { baseEnv, parseEnv } from "@mall/kernel/env";
import { serviceTokens } from "@mall/kernel/identity/service-token";
import { fetchDial } from "@mall/kernel/registry/dial";
import { remoteRegistry } from "@mall/kernel/registry/remote";
import { staticDiscovery } from "@mall/kernel/registry/static";
import { clientOf } from "@mall/kernel/rpc/client";
import { type CallerName, serviceNames } from "@mall/kernel/topology";
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
  const discovery = staticDiscovery(Object.fromEntries(urls));
  // no limit of its own: it plays many processes at once
  const registry = remoteRegistry({ discovery, dial: fetchDial, inFlightMax: Number.MAX_SAFE_INTEGER });
  return clientOf(desc, registry, tokensOf(cluster, caller), clock);
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
