import type { Context, MiddlewareHandler } from "hono";
import type { Admit, Kind } from "./admission";
import type { ClientAddressOf } from "./client-address";
import type { Dependencies } from "./dependencies";
import { edgeError } from "./edge-error";
import type { Introduce } from "./introduce";
import type { Background, PublicRead } from "./public-reads";

/** What the routes of the gateway share. */
export interface Edge {
  registry: Dependencies;
  publicRead: PublicRead;
  introduce: Introduce;
  admit: Admit;
  clientAddressOf: ClientAddressOf;
}

/** What is known of the connection of a request. */
export interface Connection {
  /** Of the client, behind however many proxies. */
  address?: string;
  /** Goes on with work when the request has been answered. */
  background: Background;
  /** It is a part of a batch. */
  isPart?: boolean;
}

export const connectionOf = (c: Context): Connection => c.env as Connection;

/** Counts requests and refuses those that are too many; every answer tells where its client stands. */
export const limited =
  ({ admit }: Edge, kind: Kind): MiddlewareHandler =>
  async (c, next) => {
    const { refusal, header } = await admit(c.req.raw.headers, connectionOf(c).address, kind);
    if (refusal) c.res = edgeError(c.req.raw, refusal);
    else await next();
    header.forEach((value, name) => void c.res.headers.set(name, value));
  };
