import { randomBytes } from "node:crypto";
import { qstashControl } from "./control";
import { type Keys, startDeliverer } from "./deliver";
import { qstashRoutes } from "./routes";
import { openStore } from "./store";

export interface QStashOptions {
  /** Default: any free port. */
  port?: number;
  /** SQLite file that outlives the process; default: none. */
  file?: string;
  token?: string;
  currentSigningKey?: string;
  nextSigningKey?: string;
  /** All waiting between retries is this many times shorter; default 1. */
  speed?: number;
  /** Most retries that the account's plan allows, which is also the default; default 5. */
  retriesMax?: number;
}

export type QStash = ReturnType<typeof startQStash>;

const newKey = (): string => `sig_${randomBytes(20).toString("base64url")}`;

/** Starts a stand-in for QStash on 127.0.0.1. */
export function startQStash(options: QStashOptions = {}) {
  const { port = 0, file = ":memory:", speed = 1, retriesMax = 5 } = options;
  const token = options.token ?? randomBytes(24).toString("base64url");
  const store = openStore(file);
  const keys = (): Keys => store.setting<Keys>("keys")!;
  if (!store.setting("keys") || options.currentSigningKey)
    store.set("keys", {
      current: options.currentSigningKey ?? newKey(),
      next: options.nextSigningKey ?? newKey(),
    });
  const rotate = (): Keys => {
    store.set("keys", { current: keys().next, next: newKey() });
    return keys();
  };
  const deliverer = startDeliverer({ store, keys, speed });
  const app = qstashRoutes({ store, deliverer, token, retriesMax, keys, rotate });
  const server = Bun.serve({ port, hostname: "127.0.0.1", fetch: app.fetch, development: false });
  const url = `http://127.0.0.1:${server.port}`;
  return {
    url,
    token,
    keys,
    /** Signs with what was the next key from now on. */
    rotate,
    control: qstashControl(url, token),
    async stop() {
      await server.stop(true);
      await deliverer.stop();
      store.close();
    },
  };
}
