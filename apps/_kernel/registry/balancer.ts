import type { Instance } from "./port";

/** How an attempt at an instance ended: "left" says nothing about it, because the caller went away. */
export type Ending = "answered" | "draining" | "failed" | "left";

/** An instance as one caller knows it. */
export interface Peer {
  readonly instance: Instance;
  /** Counts an attempt; call the result once, when it has ended. */
  begin(): (ending: Ending) => void;
}

/** Chooses an instance for each request of one caller to one service. */
export interface Balancer {
  /**
   * Of two instances at random the one with fewer requests in flight. Ejected, draining and `avoid`ed ones only when
   * there is no other; `never` ones not at all. Undefined when none is left.
   */
  pick(avoid: ReadonlySet<string>, never: ReadonlySet<string>): Peer | undefined;
  /** Whether there is an instance beyond these that is fit. */
  hasOther(than: ReadonlySet<string>): boolean;
}

/** Limits of ejection. */
export const ejection = { failures: 3, firstMs: 1_000, longestMs: 10_000, drainingMs: 5_000, probeMs: 1_000 };

interface State extends Peer {
  inFlight: number;
  /** In a row. */
  failures: number;
  /** In a row. */
  ejections: number;
  ejectedUntilMs: number;
  drainingUntilMs: number;
  isProbed: boolean;
}

interface Deps {
  instances: () => readonly Instance[];
  /** Resolves when the instance is ready to serve. */
  probe(instance: Instance): Promise<void>;
  /** Hears that an instance is put out, each time. */
  onEject?(): void;
  nowMs?: () => number;
  random?: () => number;
}

const lessLoaded = (one: State, other: State): State => (other.inFlight < one.inFlight ? other : one);

/**
 * Power of two choices. An instance that failed three times in a row is ejected for a second, then two, then four, at
 * most ten; after that somebody asks whether it is ready while others still serve, so no request is spent on trying.
 */
export function balancer({
  instances,
  probe,
  onEject,
  nowMs = Date.now,
  random = Math.random,
}: Deps): Balancer {
  const states = new Map<string, State>();
  let seen: readonly Instance[] = [];

  function stateOf(instance: Instance): State {
    const state: State = {
      ...{ instance, inFlight: 0, failures: 0, ejections: 0 },
      ...{ ejectedUntilMs: 0, drainingUntilMs: 0, isProbed: false },
      begin() {
        state.inFlight++;
        return (ending) => {
          state.inFlight--;
          note(state, ending);
        };
      },
    };
    return state;
  }

  function note(state: State, ending: Ending): void {
    if (ending === "left") return;
    if (ending === "failed") {
      if (++state.failures >= ejection.failures) eject(state);
      return;
    }
    state.failures = 0;
    state.ejections = 0;
    state.ejectedUntilMs = 0;
    state.drainingUntilMs = ending === "draining" ? nowMs() + ejection.drainingMs : 0;
  }

  function eject(state: State): void {
    const ms = Math.min(ejection.longestMs, ejection.firstMs * 2 ** state.ejections++);
    state.ejectedUntilMs = nowMs() + ms;
    onEject?.();
  }

  function tryAgain(state: State): void {
    if (state.isProbed) return;
    state.isProbed = true;
    probe(state.instance)
      .then(
        () => note(state, "answered"),
        () => eject(state),
      )
      .finally(() => {
        state.isProbed = false;
      });
  }

  /** Whether an instance is out; when its time is over, somebody asks it. */
  function isEjected(state: State): boolean {
    if (state.ejectedUntilMs === 0) return false;
    if (nowMs() >= state.ejectedUntilMs) tryAgain(state);
    return true;
  }

  function current(): State[] {
    const now = instances();
    if (now !== seen) {
      const ids = new Set(now.map(({ id }) => id));
      for (const id of states.keys()) if (!ids.has(id)) states.delete(id);
      for (const instance of now) if (!states.has(instance.id)) states.set(instance.id, stateOf(instance));
      seen = now;
    }
    return [...states.values()];
  }

  const isFit = (state: State): boolean => !isEjected(state) && nowMs() >= state.drainingUntilMs;

  return {
    pick(avoid, never) {
      const all = current().filter(({ instance }) => !never.has(instance.id));
      const fit = all.filter(isFit);
      const best = fit.filter(({ instance }) => !avoid.has(instance.id));
      const alive = all.filter((state) => state.ejectedUntilMs === 0);
      const from = [best, fit, alive, all].find((some) => some.length > 0);
      if (!from) return undefined;
      const first = Math.floor(random() * from.length);
      const step = 1 + Math.floor(random() * (from.length - 1));
      return lessLoaded(from[first]!, from[(first + step) % from.length]!);
    },
    hasOther: (than) => current().some((state) => !than.has(state.instance.id) && isFit(state)),
  };
}
