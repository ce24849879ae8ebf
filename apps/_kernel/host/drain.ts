import { within } from "../concurrency";
import { errorFields, type Log } from "../log";
import { drainingHeader } from "../registry/port";
import { limits } from "../rpc/limits";

/** Answers a request that came over a connection from this address. */
export type Fetch = (request: Request, address?: string) => Promise<Response>;

/** A fetch that can tell its callers to go elsewhere. */
export interface Drainable {
  fetch: Fetch;
  /** From now on `/readyz` answers 503, and every answer says that this process ends and closes its connection. */
  begin(): void;
}

/** Puts the words of a process that is about to end around a fetch. */
export function drainable(fetch: Fetch): Drainable {
  let isDraining = false;
  return {
    begin() {
      isDraining = true;
    },
    async fetch(request, address) {
      if (!isDraining) return fetch(request, address);
      const isProbe = new URL(request.url).pathname === "/readyz";
      const answer = isProbe
        ? Response.json({ status: "draining", checks: {} }, { status: 503 })
        : await fetch(request, address);
      const told = new Response(answer.body, answer);
      told.headers.set(drainingHeader, "1");
      told.headers.set("connection", "close");
      return told;
    },
  };
}

/** What ends with a process. */
export interface Ending {
  drain: Drainable;
  /** Seconds in which callers learn that this process ends. */
  graceSeconds: number;
  /** Takes the process out of the registry. */
  leave?(): Promise<void>;
  /** Each stops taking connections and resolves when its last request has been answered. */
  servers: readonly (() => Promise<unknown>)[];
  /** Ends what goes on without requests, then the connections to elsewhere. */
  close(): Promise<void>;
  log: Log;
}

/**
 * Ends a process so that no request fails: first it is not ready and not in the registry, then for a while it still
 * takes what comes, then it finishes what it has, at most as long as a request may take, and at last it lets go.
 */
export async function endGently({ drain, graceSeconds, leave, servers, close, log }: Ending): Promise<void> {
  log("info", "draining", { graceSeconds });
  drain.begin();
  await leave?.();
  await Bun.sleep(graceSeconds * 1000);
  const answered = Promise.all(servers.map((stop) => stop()));
  await within(limits.timeoutMsMax, "answering what was asked", answered).catch((error) =>
    log("warn", "requests were cut off", errorFields(error)),
  );
  await close();
}
