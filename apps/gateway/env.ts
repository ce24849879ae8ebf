import { baseEnv } from "@mall/kernel/env";
import * as z from "zod";

/** Environment of the gateway. */
export const gatewayEnv = baseEnv.extend({
  CORS_ORIGINS: z
    .string()
    .default("")
    .describe("Comma list of origins whose browsers may call; in dev and test every origin when empty."),
});
