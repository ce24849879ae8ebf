import { type ServiceName, serviceNames } from "@mall/kernel/topology";

process.env.MALL_ENV ??= "production";

const service = process.env.SERVICE;
const mains: Record<ServiceName | "gateway", () => Promise<unknown>> = {
  auth: () => import("@mall/auth/main"),
  user: () => import("@mall/user/main"),
  cart: () => import("@mall/cart/main"),
  product: () => import("@mall/product/main"),
  order: () => import("@mall/order/main"),
  payment: () => import("@mall/payment/main"),
  checkout: () => import("@mall/checkout/main"),
  gateway: () => import("@mall/gateway/main"),
};

async function startAll(): Promise<void> {
  const { onShutdown } = await import("@mall/kernel/host/bun");
  const { buildMall } = await import("./mall");
  const { serveMall } = await import("./serve");
  const mall = buildMall(process.env);
  const server = await serveMall(mall, process.env);
  onShutdown(server.stop);
  console.log(
    JSON.stringify({
      level: "info",
      service: "mall",
      message: "listening",
      port: server.port,
      grpcPort: server.grpcPort,
    }),
  );
}

try {
  if (service === undefined) await startAll();
  else if (Object.hasOwn(mains, service)) await mains[service as ServiceName]();
  else throw new Error(`SERVICE must be one of: gateway, ${serviceNames.join(", ")}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
