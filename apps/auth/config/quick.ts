import { asking, type Breaker } from "@mall/kernel/breaker";
import { within } from "@mall/kernel/concurrency";
import type { ConfigStore } from "./port";

/** Longest time that a gate's look at the settings waits for their store: gates wait half a second for everything. */
export const quickMs = 150;

/** A store for those who look each second and go on with what they know: one that hangs is hardly asked. */
export function quickConfig(store: ConfigStore, breaker: Breaker): Pick<ConfigStore, "newest"> {
  return {
    async newest() {
      if (!breaker.mayTry()) throw new Error("the store of the configuration does not answer");
      return asking(breaker, () => within(quickMs, "the store of the configuration", store.newest()));
    },
  };
}
