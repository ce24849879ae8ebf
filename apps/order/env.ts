import { baseEnv } from "@mall/kernel/env";

/** Environment of the order service: nothing of its own. */
export const orderEnv = baseEnv;
