import { databaseFault } from "@mall/kernel/db/client";
import { readBody } from "@mall/kernel/rpc/body";
import type { Hono } from "hono";
import { receiveWebhook } from "../application/receive-webhook";
import type { Deps } from "../deps";

const bodyBytesMax = 256 * 1024;

/** Takes the messages of the payment provider, whose signature is over the body as it was sent. */
export const webhookRoute =
  (deps: Deps) =>
  (app: Hono): void => {
    app.post("/webhooks/payments/:provider", async (c) => {
      const body = new TextDecoder().decode(await readBody(c.req.raw, bodyBytesMax));
      try {
        await receiveWebhook(deps)(c.req.param("provider"), body, (name) => c.req.header(name));
      } catch (error) {
        throw databaseFault(error);
      }
      return c.json({ received: true });
    });
  };
