import { databaseFault } from "@mall/kernel/db/client";
import type { Hono } from "hono";
import type { SigningKeys } from "../application/signing-keys";

const maxAgeSeconds = 300;

/** Serves the public keys that access tokens are verified with (RFC 7517). */
export const jwksRoute =
  (keys: SigningKeys) =>
  (app: Hono): void => {
    app.get("/.well-known/jwks.json", async (c) => {
      const published = await keys.published().catch((error) => {
        throw databaseFault(error);
      });
      return c.json({ keys: published }, 200, { "cache-control": `public, max-age=${maxAgeSeconds}` });
    });
  };
