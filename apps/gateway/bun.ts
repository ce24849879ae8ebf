import type { ConnectRouter } from "@connectrpc/connect";
import { upstashRedis } from "@mall/kernel/redis/upstash";
import { grpcProxy } from "./grpc";
import { createGateway, type Gateway, type GatewayResources } from "./service";

/** The edge on a host that has a port for HTTP/2, which Workers do not. */
export interface BunGateway extends Gateway {
  /** Registers every public RPC on the router of the HTTP/2 port. */
  grpcRoutes(router: ConnectRouter): void;
}

/** The gateway with gRPC, which takes the descriptors of every message, and with what counts many requests at once. */
export function createBunGateway(resources: GatewayResources): BunGateway {
  const gateway = createGateway({ scriptsIn: (redis) => upstashRedis(redis, true), ...resources });
  return { ...gateway, grpcRoutes: grpcProxy(gateway.edge) };
}
