import { AsyncLocalStorage } from "node:async_hooks";
import type { CallerName } from "../topology";

/**
 * The service whose certificate the connection of the current request was opened with. Undefined on hosts whose
 * connections carry none; where they do, a service token counts only if it names the same service.
 */
export const currentPeer = new AsyncLocalStorage<CallerName | undefined>();
