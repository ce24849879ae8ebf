import { currentRequest } from "@mall/kernel/rpc/context";
import type { SessionClient } from "../domain/session";

/** From where the request came that is being worked on, as far as it is known. */
export function currentClient(): SessionClient {
  const { address, device } = currentRequest.getStore()?.client ?? {};
  return { ...(address ? { address } : {}), ...(device ? { device } : {}) };
}
