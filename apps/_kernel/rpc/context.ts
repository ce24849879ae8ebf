import { AsyncLocalStorage } from "node:async_hooks";
import { createContextKey } from "@connectrpc/connect";
import type { Actor } from "../identity/actor";
import type { RemoteClient } from "../identity/client";

/** What travels with a request through every hop. */
export interface RequestContext {
  readonly actor: Actor;
  /** Where the request entered the mall from; empty unless the gateway or a service told. */
  readonly client: RemoteClient;
  /** UUID of the request; one for the whole chain of calls. */
  readonly requestId: string;
  /** W3C trace context, forwarded unchanged. */
  readonly traceparent?: string;
  /** The end user's token, forwarded unchanged. */
  readonly authorization?: string;
  /** When the caller gives up, in epoch milliseconds. */
  readonly deadlineMs?: number;
}

/** The request that the current code runs for; undefined in what is done for no request. */
export const currentRequest = new AsyncLocalStorage<RequestContext | undefined>();

/** Runs what an operator commanded: whatever it does is done by the command line, in one request. */
export const asCommand = <T>(run: () => Promise<T>): Promise<T> =>
  currentRequest.run({ actor: { service: "mall" }, client: {}, requestId: crypto.randomUUID() }, run);

/** Context value with the request's context; set by the gate before anything else runs. */
export const requestKey = createContextKey<RequestContext>(
  { actor: {}, client: {}, requestId: "" },
  { description: "request" },
);

/** Address of the connection that a call came over, where the host tells it. */
export const addressKey = createContextKey<string | undefined>(undefined, { description: "address" });

/** HTTP status of success that a handler chose over the contract's (201 → 200 or 202). */
export const statusKey = createContextKey<number>(0, { description: "status" });

/** Response headers and trailers of the call, for an interceptor that answers in place of the handler. */
export const responseKey = createContextKey<{ responseHeader: Headers; responseTrailer: Headers }>(
  { responseHeader: new Headers(), responseTrailer: new Headers() },
  { description: "response" },
);
