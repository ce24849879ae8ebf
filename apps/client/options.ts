import type { CallDeps } from "./call";
import type { Retry } from "./retry";

/** What a client of either surface is made of. */
export interface ClientOptions extends Omit<CallDeps, "retry"> {
  /** Origin of the mall's gateway. */
  url: string;
  /** Changes how calls are repeated. */
  retry?: Partial<Retry>;
  /** Milliseconds for one call with all its repetitions; 30,000 when absent. */
  timeoutMs?: number;
  fetch?: typeof globalThis.fetch;
}

export const timeoutMsDefault = 30_000;
