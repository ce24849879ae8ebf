import type { Registry } from "@mall/kernel/registry/port";
import type { Context, MiddlewareHandler } from "hono";
import type { Admit, Kind } from "./admission";
import type { ClientAddressOf } from "./client-address";
import { edgeError } from "./edge-error";
import type { Introduce } from "./introduce";

/** What the routes of the gateway share. */
export interface Edge {
  registry: Registry;
  introduce: Introduce;
  admit: Admit;
  clientAddressOf: ClientAddressOf;
}

/** What is known of the connection of a request. */
export interface Connection {
  /** Of the client, behind however many proxies. */
  address?: string;
}

/** The client's own address, where the host tells that of the connection. */
export const addressOf = (c: Context): string | undefined => (c.env as Connection).address;

/** Counts requests and refuses those that are too many; every answer tells where its client stands. */
export const limited =
  ({ admit }: Edge, kind: Kind): MiddlewareHandler =>
  async (c, next) => {
    const { refusal, header } = await admit(c.req.raw.headers, addressOf(c), kind);
    if (refusal) c.res = edgeError(c.req.raw, refusal);
    else await next();
    header.forEach((value, name) => void c.res.headers.set(name, value));
  };
