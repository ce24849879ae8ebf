import { routesOfContract } from "@mall/gateway/contract";

/*
 * gen/routes.json: the route table of the gateway, for a Worker without descriptors.
 */
const target = new URL("../gen/routes.json", import.meta.url);
await Bun.write(target, `${JSON.stringify(routesOfContract(), null, 2)}\n`);
