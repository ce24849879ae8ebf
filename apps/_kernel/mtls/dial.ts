import { type Dial, NotSent } from "../registry/port";
import { isSecure } from "../registry/secure";
import type { ServiceName } from "../topology";
import { type Connection, openConnection } from "./connection";
import { exchange } from "./exchange";
import type { LiveCredentials } from "./live";
import { peersBy } from "./peer";

/** A dial and how to end its connections. */
export interface MtlsDial {
  dial: Dial;
  close(): void;
}

/**
 * HTTP/2 with mutual TLS: one connection to each instance for all calls. The instance must show the certificate of the
 * service that is called; its host name says nothing. After a change of the own credentials calls take a new connection
 * while those of before finish on the old one. An instance whose address is not https is never talked to.
 */
export function mtlsDial(live: LiveCredentials, clock: () => Date): MtlsDial {
  const connections = new Map<string, Connection>();
  const peerOf = peersBy(live, "server", clock);

  const isUsable = ({ session, under }: Connection): boolean =>
    under === live.current && !session.closed && !session.destroyed;

  function forget(name: string, connection: Connection): void {
    if (connections.get(name) === connection) connections.delete(name);
  }

  function connectionTo(url: string, service: ServiceName): Connection {
    const name = `${service} ${url}`;
    const known = connections.get(name);
    if (known && isUsable(known)) return known;
    known?.retire();
    const opened = openConnection({ url, service, under: live.current, peerOf });
    connections.set(name, opened);
    opened.session.once("close", () => forget(name, opened));
    return opened;
  }

  /** A connection to a peer that is believed now; rejects with NotSent. */
  async function provedConnection(url: string, service: ServiceName): Promise<Connection> {
    const known = connectionTo(url, service);
    await known.ready;
    if (!known.session.closed && known.isBelieved()) return known;
    // its certificate has ended since the connection was opened, and the peer has another one by now
    forget(`${service} ${url}`, known);
    known.retire();
    const next = connectionTo(url, service);
    await next.ready;
    return next;
  }

  return {
    async dial({ url }, out, service) {
      if (!isSecure(url)) throw new NotSent(`${url} is not https, and mutual TLS is on`);
      return exchange(await untilAborted(out.signal, provedConnection(url, service)), out);
    },
    close() {
      for (const { session } of connections.values()) session.close();
    },
  };
}

/** What many may wait for, until this one of them goes away. */
function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
