interface Flight<T> {
  answer: Promise<T>;
  startedMs: number;
  waiting: number;
  abort(): void;
}

/** Work that several wait for. */
export interface Flights<T> {
  /**
   * Starts work, or joins the same work where that is allowed and it goes on. Work that nobody waits for any more, since
   * all their signals have ended, is aborted.
   */
  join(key: string, signal: AbortSignal, start: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Milliseconds that the work of a key has been going on; 0 when it has not. */
  ageMs(key: string): number;
}

/** Each work by its key. With `mayJoin` false, as on Workers, everybody works alone. */
export function flights<T>(mayJoin: boolean): Flights<T> {
  const flying = new Map<string, Flight<T>>();

  function begin(key: string, start: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    const leave = () => {
      if (flying.get(key) === flight) flying.delete(key);
    };
    const abort = () => {
      leave();
      controller.abort();
    };
    const answer = start(controller.signal);
    const flight: Flight<T> = { answer, startedMs: performance.now(), waiting: 0, abort };
    if (mayJoin) flying.set(key, flight);
    answer.then(leave, leave);
    return flight;
  }

  return {
    ageMs: (key) => performance.now() - (flying.get(key)?.startedMs ?? performance.now()),
    async join(key, signal, start) {
      const flight = flying.get(key) ?? begin(key, start);
      flight.waiting++;
      const leave = () => {
        if (--flight.waiting === 0) flight.abort();
      };
      signal.addEventListener("abort", leave, { once: true });
      try {
        return await flight.answer;
      } finally {
        signal.removeEventListener("abort", leave);
      }
    },
  };
}
