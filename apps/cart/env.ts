import { baseEnv } from "@mall/kernel/env";

/** Environment of the cart service: nothing of its own. */
export const cartEnv = baseEnv;
