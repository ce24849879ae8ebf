import { networkInterfaces } from "node:os";
import { type BaseEnv, type EnvSource, incompleteEnv } from "../env";
import type { Log } from "../log";
import type { Discovery, Instance } from "./port";
import { redisDiscovery } from "./redis";
import { staticDiscovery } from "./static";

/** How the processes of this environment find each other. Throws Error naming what is not set. */
export async function discoveryOf(env: BaseEnv, source: EnvSource, log: Log): Promise<Discovery> {
  if (env.REGISTRY === "static") return staticDiscovery(source);
  if (!env.REDIS_URL) throw incompleteEnv(["REDIS_URL: must be set when REGISTRY is redis"]);
  return redisDiscovery({ url: env.REDIS_URL, log });
}

/** The first address of this machine that others reach. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  return all.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
}

/** This process as its neighbours reach it: a new id at each start, ADVERTISED_URL or the machine's own address. */
export const ownInstance = (env: BaseEnv, port: number): Instance => ({
  id: crypto.randomUUID(),
  url: env.ADVERTISED_URL || `http://${ownAddress()}:${port}`,
});
