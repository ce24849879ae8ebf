import { type ClientHttp2Session, connect } from "node:http2";
import { NotSent } from "../registry/port";
import type { ServiceName } from "../topology";
import type { Credentials } from "./credentials";
import type { PeerOf } from "./peer";

/** Times of a connection; `lastCallsMs` is what is left to calls on one whose peer is believed no longer. */
const times = { connectMs: 5_000, idleMs: 120_000, lastCallsMs: 20_000 };

/** A connection to one instance of a service. */
export interface Connection {
  readonly session: ClientHttp2Session;
  /** What it was opened with. */
  readonly under: Credentials;
  /** Resolves when the peer has proved that it is the service, rejects with NotSent. */
  readonly ready: Promise<void>;
  /** Number of the last stream that the peer takes, once it says that it takes no more. */
  readonly lastStream: number;
  /** Whether the peer is who it should be as of now; only after `ready`. */
  isBelieved(): boolean;
  /** Takes no more calls; those on their way may finish, for a while only if the peer is believed no longer. */
  retire(): void;
}

export interface ConnectionOptions {
  url: string;
  service: ServiceName;
  under: Credentials;
  peerOf: PeerOf;
}

/** Resolves when the connection is there and its peer is the service; else destroys it and rejects with NotSent. */
function proved(session: ClientHttp2Session, { url, service, peerOf }: ConnectionOptions): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const fail = (cause: unknown) => {
      reject(new NotSent(`no connection to ${service} at ${url}`, { cause }));
      session.destroy();
    };
    const timer = setTimeout(fail, times.connectMs, new Error("it did not come about in time"));
    session.once("connect", () => {
      clearTimeout(timer);
      const peer = peerOf(session);
      if ("refusal" in peer) return fail(new Error(`its certificate ${peer.refusal}`));
      if (peer.name !== service) return fail(new Error(`its certificate is that of ${peer.name}`));
      resolve();
    });
    session.on("error", fail);
    session.once("close", () => {
      clearTimeout(timer);
      fail(new Error("it was closed"));
    });
  });
}

/** Opens a connection with mutual TLS. */
export function openConnection(options: ConnectionOptions): Connection {
  const { url, under, peerOf } = options;
  const { ca, cert, key } = under;
  const session = connect(url, {
    ...{ ca, cert, key, minVersion: "TLSv1.3", rejectUnauthorized: true },
    // it is not the host that is proved but the service
    checkServerIdentity: () => undefined,
  });
  session.setTimeout(times.idleMs, () => session.close());
  let lastStream = Number.POSITIVE_INFINITY;
  session.on("goaway", (_, last) => {
    lastStream = last;
  });
  const ready = proved(session, options);
  // whoever waits hears of it
  ready.catch(() => {});
  const isBelieved = () => !("refusal" in peerOf(session));
  const end = () => {
    session.close();
    if (session.destroyed || isBelieved()) return;
    const timer = setTimeout(() => session.destroy(), times.lastCallsMs);
    session.once("close", () => clearTimeout(timer));
  };
  return {
    ...{ session, under, ready, isBelieved },
    get lastStream() {
      return lastStream;
    },
    // calls that wait for the connection come before this
    retire: () => void ready.then(end, () => {}),
  };
}
