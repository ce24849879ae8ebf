import { baseEnv } from "@mall/kernel/env";

/** Environment of the user service: nothing of its own. */
export const userEnv = baseEnv;
