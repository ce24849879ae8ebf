import type { Transport } from "@connectrpc/connect";
import type { ServiceName } from "../topology";

/** What the caller knows of a request beyond its bytes. */
export interface Sending {
  /** The contract says that a repetition has no further effect, so it may be sent to a second instance. */
  isRepeatable?: boolean;
}

/** Sends a request to a service. */
export type ServiceFetch = (request: Request, sending?: Sending) => Promise<Response>;

/** Finds services: (service) → a transport for generated clients, and a fetch for whole requests. */
export interface Registry {
  transport(service: ServiceName): Transport;
  fetch(service: ServiceName): ServiceFetch;
}

/** One process of a service. */
export interface Instance {
  /** Unique among all that ever ran. */
  readonly id: string;
  /** Origin that its neighbours reach it at. */
  readonly url: string;
}

/** Which instances there are: what a driver for processes that find each other has to provide. */
export interface Discovery {
  /** The instances of a service as far as they are known; never waits, and keeps the last known ones in an outage. */
  instances(service: ServiceName): readonly Instance[];
  /** Whether it has ever seen what there is. */
  isKnowing(): boolean;
  /** Makes an instance known for some seconds; called again and again while the instance is ready. */
  announce(service: ServiceName, instance: Instance): Promise<void>;
  /** Makes it unknown at once. */
  withdraw(service: ServiceName, instance: Instance): Promise<void>;
  close(): void;
}

/** A request that can be sent more than once. */
export interface Outgoing {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Headers;
  readonly body?: ArrayBuffer;
  readonly signal: AbortSignal;
}

/** How to talk to one instance. Rejects with NotSent when nothing of the request has left. */
export type Dial = (instance: Instance, request: Outgoing) => Promise<Response>;

/** No connection came about, so another instance may have the request whatever it does. */
export class NotSent extends Error {}

/** Header of every answer of a process that is about to end: its callers take another one from now on. */
export const drainingHeader = "x-draining";
