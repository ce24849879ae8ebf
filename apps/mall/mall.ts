import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { bunPasswords } from "@mall/auth/password/bun";
import { createAuthService } from "@mall/auth/service";
import { createCartService } from "@mall/cart/service";
import { createCheckoutService } from "@mall/checkout/service";
import { type BunGateway, createBunGateway } from "@mall/gateway/bun";
import type { MallApp, Resources } from "@mall/kernel/app";
import { baseEnv, type EnvSource, parseEnv } from "@mall/kernel/env";
import { bunResources, hostBus } from "@mall/kernel/host/bun";
import { docsAsset } from "@mall/kernel/host/docs-assets";
import type { Readiness } from "@mall/kernel/http";
import { serviceTokens } from "@mall/kernel/identity/service-token";
import { type ProcessMetrics, processMetrics } from "@mall/kernel/metrics";
import { inProcessRegistry } from "@mall/kernel/registry/in-process";
import { clientOf } from "@mall/kernel/rpc/client";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import { createOrderService } from "@mall/order/service";
import { createPaymentService } from "@mall/payment/service";
import { createProductService } from "@mall/product/service";
import { createUserService } from "@mall/user/service";

/** The composition root of each service on Bun. */
export const creators: Record<ServiceName, (resources: Resources) => MallApp> = {
  auth: (resources) => createAuthService(resources, bunPasswords()),
  user: createUserService,
  cart: createCartService,
  product: createProductService,
  order: createOrderService,
  payment: createPaymentService,
  checkout: createCheckoutService,
};

/** The whole mall in this process. */
export interface Mall {
  apps: MallApp[];
  metrics: ProcessMetrics;
  resourcesOf(name: ServiceName): Resources;
  gateway: BunGateway;
  /** Hands an event to its consumer as if the bus had brought it. Throws Error for a consumer that does not exist. */
  handle(consumer: string, event: unknown): Promise<void>;
  /** A client of a service in the name of the command line. */
  client<S extends DescService>(desc: S): Client<S>;
  close(): Promise<void>;
}

/** The mall is ready when every service in it is. */
async function readiness(apps: readonly MallApp[]): Promise<Readiness> {
  const answers = await Promise.all(
    apps.map(
      async ({ name, fetch }) => [name, (await fetch(new Request(`http://${name}/readyz`))).ok] as const,
    ),
  );
  const checks = Object.fromEntries(answers.map(([name, ok]) => [name, ok ? "ok" : "unavailable"]));
  return { ready: answers.every(([, ok]) => ok), checks };
}

/** Builds all services and the gateway on one database; nothing listens yet. */
export function buildMall(env: EnvSource): Mall {
  const { MALL_MASTER_KEY } = parseEnv(baseEnv, env);
  const registry = inProcessRegistry();
  const bus = hostBus(env);
  const metrics = processMetrics();
  const resources = new Map(
    serviceNames.map((name) => [name, bunResources(name, env, registry, bus, metrics)]),
  );
  const apps = serviceNames.map((name) => {
    const app = creators[name](resources.get(name)!);
    registry.add(name, { fetch: app.fetch, transport: app.rpc.transport });
    return app;
  });
  const clock = () => new Date();
  const tokens = serviceTokens(MALL_MASTER_KEY, "mall", clock);
  return {
    apps,
    metrics,
    resourcesOf: (name) => resources.get(name)!,
    gateway: createBunGateway({ env, registry, docsAsset, metrics, ready: () => readiness(apps) }),
    handle: async (consumer, event) => {
      const app = apps.find(({ name }) => name === consumer);
      if (!app) throw new Error(`there is no service ${consumer}`);
      await app.handle(event);
    },
    client: (desc) => clientOf(desc, registry, tokens, clock),
    close: async () => {
      const all = [...resources.values()];
      // what one service still does may need another one
      await Promise.all(all.map((own) => own.settle()));
      await Promise.all(all.map((own) => own.close()));
    },
  };
}
