import { baseEnv } from "@mall/kernel/env";

/** Environment of the product service: nothing of its own. */
export const productEnv = baseEnv;
