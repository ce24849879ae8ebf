import { UserRegisteredSchema } from "@mall/gen/mall/auth/v1/events_pb";
import { Hono } from "hono";
import { problemAnswers } from "../http";
import { serviceTokens } from "../identity/service-token";
import { staticRegistry } from "../registry/static";
import { tcpProxy } from "../testing/proxy";
import { busContract, type Listener } from "./contract";
import { localBus } from "./local";
import type { Inbox } from "./port";
import { localRoute } from "./routes";

const masterKey = "test-master-key-test-master-key-0123456789";
const clock = () => new Date();

/** A listener on a port of its own. */
async function serve(name: Listener, inbox: Inbox) {
  const app = new Hono();
  const listeners = { [UserRegisteredSchema.typeName]: [name] };
  localRoute(app, serviceTokens(masterKey, name, clock, listeners), inbox);
  problemAnswers(app, () => {});
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: app.fetch, development: false });
  return { server, proxy: await tcpProxy(server.port!) };
}

busContract("local", UserRegisteredSchema, async (inboxes) => {
  const [user, cart] = await Promise.all([serve("user", inboxes.user), serve("cart", inboxes.cart)]);
  const env = {
    MALL_MASTER_KEY: masterKey,
    USER_URL: `http://127.0.0.1:${user.proxy.port}`,
    CART_URL: `http://127.0.0.1:${cart.proxy.port}`,
  };
  const both = [user, cart];
  return {
    bus: localBus(staticRegistry(env), serviceTokens(masterKey, "auth", clock), 500),
    cut: async () => void (await Promise.all(both.map(({ proxy }) => proxy.cut()))),
    restore: async () => void (await Promise.all(both.map(({ proxy }) => proxy.restore()))),
    env,
    async stop() {
      for (const { server, proxy } of both) {
        await proxy.stop();
        await server.stop(true);
      }
    },
  };
});
