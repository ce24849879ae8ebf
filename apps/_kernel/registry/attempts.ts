import type { ServiceName } from "../topology";
import type { Balancer, Ending, Peer } from "./balancer";
import { retryBudget } from "./budget";
import { type Dial, drainingHeader, NotSent, type Outgoing } from "./port";
import { isTimeout, unreachable, wasNeverSent } from "./unreachable";

export interface Attempts {
  service: ServiceName;
  balancer: Balancer;
  dial: Dial;
  /** Hears of every request that is sent to an instance. */
  onAttempt?(service: ServiceName, isRepetition: boolean): void;
  random?: () => number;
}

/** Limits of repetition: `slowMs` without an answer counts as a failure of the instance. */
export const repetition = { attemptsMax: 3, slowMs: 1_000, jitterMs: 50 };

/** Why an attempt was given up: another instance answered first. */
const overtaken = new Error("another instance answered first");

/** What a failed attempt says about its instance: a caller that went away, or that had no patience, says nothing. */
function endingOf({ signal }: Outgoing, sinceMs: number): Ending {
  if (!signal.aborted) return "failed";
  const waited = performance.now() - sinceMs >= repetition.slowMs;
  return waited && (signal.reason === overtaken || isTimeout(signal.reason)) ? "failed" : "left";
}

/** An answer without what is between one process and the next. */
function received(response: Response): Response {
  if (!response.headers.has(drainingHeader) && !response.headers.has("connection")) return response;
  const passed = new Response(response.body, response);
  for (const name of [drainingHeader, "connection", "keep-alive"]) passed.headers.delete(name);
  return passed;
}

/** How one of several attempts ended. */
type Settled = { own: AbortController } & ({ response: Response } | { error: unknown });

const settled = (own: AbortController, work: Promise<Response>): Promise<Settled> =>
  work.then(
    (response) => ({ own, response }),
    (error) => ({ own, error }),
  );

/** The first of these, or "slow" when none of them has settled after a second. */
async function firstOf(running: Iterable<Promise<Settled>>): Promise<Settled | "slow"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const slow = new Promise<"slow">((resolve) => {
    timer = setTimeout(resolve, repetition.slowMs, "slow");
  });
  try {
    return await Promise.race([...running, slow]);
  } finally {
    clearTimeout(timer);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Sends requests to instances of one service. One that could not be sent goes to the next instance; one that may be
 * repeated also when its connection broke (after a pause of random length) or when no answer came for a second (then
 * both are waited for), three attempts at most and within the budget. Everything ends with the caller's signal.
 */
export function sender({ service, balancer, dial, onAttempt, random = Math.random }: Attempts) {
  const budget = retryBudget();

  /** Rejects with NotSent when this instance did not get the request. */
  async function sendTo(peer: Peer, out: Outgoing, isRepetition: boolean): Promise<Response> {
    const end = peer.begin();
    const sinceMs = performance.now();
    try {
      const response = await dial(peer.instance, out, service);
      onAttempt?.(service, isRepetition);
      end(response.headers.has(drainingHeader) ? "draining" : "answered");
      return received(response);
    } catch (error) {
      if (!(error instanceof NotSent)) onAttempt?.(service, isRepetition);
      end(endingOf(out, sinceMs));
      throw error;
    }
  }

  async function attempt(out: Outgoing, tried: Set<string>, isRepetition: boolean): Promise<Response> {
    const refused = new Set<string>();
    for (let last: unknown; ; ) {
      out.signal.throwIfAborted();
      const peer = balancer.pick(tried, refused);
      if (!peer) throw unreachable(service, false, last);
      tried.add(peer.instance.id);
      try {
        return await sendTo(peer, out, isRepetition);
      } catch (error) {
        if (!(error instanceof NotSent)) throw error;
        refused.add(peer.instance.id);
        last = error;
      }
    }
  }

  /** Several attempts, the first answer wins. */
  async function repeatedly(out: Outgoing): Promise<Response> {
    const tried = new Set<string>();
    const running = new Map<AbortController, Promise<Settled>>();
    let attempts = 0;
    const start = (after?: Promise<void>) => {
      const own = new AbortController();
      const each = { ...out, signal: AbortSignal.any([out.signal, own.signal]) };
      const isRepetition = attempts++ > 0;
      const go = () => attempt(each, tried, isRepetition);
      running.set(own, settled(own, after ? after.then(go) : go()));
    };
    const mayRepeat = () => !out.signal.aborted && attempts < repetition.attemptsMax && budget.take();
    start();
    for (;;) {
      const first = await firstOf(running.values());
      if (first === "slow") {
        if (balancer.hasOther(tried) && mayRepeat()) start();
        continue;
      }
      running.delete(first.own);
      if ("response" in first) {
        for (const other of running.keys()) other.abort(overtaken);
        return first.response;
      }
      const isUnreachable = wasNeverSent(first.error, service);
      if (!isUnreachable && mayRepeat()) start(pause(random() * repetition.jitterMs * 2 ** (attempts - 1)));
      else if (running.size === 0)
        throw isUnreachable && attempts > 1 ? unreachable(service, true, first.error) : first.error;
    }
  }

  return async (out: Outgoing, isRepeatable: boolean): Promise<Response> => {
    budget.spend();
    return isRepeatable ? repeatedly(out) : attempt(out, new Set(), false);
  };
}
