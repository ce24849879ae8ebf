/** What stands in front of the gateways of a mall, as nginx or a cloud's load balancer does. */
export interface FrontDoor {
  /** Sends to a gateway that is ready, to the next one when it takes no connection. */
  send(path: string, init: RequestInit): Promise<Response>;
  stop(): void;
}

const probeMs = 200;

const isReady = (url: string): Promise<boolean> =>
  fetch(`${url}/readyz`, { signal: AbortSignal.timeout(1_000), keepalive: false }).then(
    ({ ok }) => ok,
    () => false,
  );

const isRefused = (error: unknown): boolean =>
  ["ConnectionRefused", "ECONNREFUSED", "FailedToOpenSocket"].includes(
    (error as { code?: string }).code ?? "",
  );

/** A client's address, as a proxy tells it; each request comes from another one. */
const someAddress = (): string => `10.${[0, 0, 0].map(() => Math.floor(Math.random() * 256)).join(".")}`;

/** Takes the gateways in turn, of those that answered their last readiness probe. */
export function frontDoor(gateways: readonly string[]): FrontDoor {
  const ready = new Set(gateways);
  let turn = 0;
  const timer = setInterval(() => {
    for (const url of gateways) void isReady(url).then((is) => (is ? ready.add(url) : ready.delete(url)));
  }, probeMs);
  return {
    async send(path, init) {
      const inTurn = gateways.map((_, i) => gateways[(turn + i) % gateways.length]!);
      turn++;
      const order = inTurn.toSorted((a, b) => Number(ready.has(b)) - Number(ready.has(a)));
      for (const [i, url] of order.entries()) {
        try {
          const headers = { ...(init.headers as Record<string, string>), "x-forwarded-for": someAddress() };
          return await fetch(url + path, { ...init, headers });
        } catch (error) {
          if (!isRefused(error) || i === order.length - 1) throw error;
        }
      }
      throw new Error("there is no gateway");
    },
    stop: () => clearInterval(timer),
  };
}
