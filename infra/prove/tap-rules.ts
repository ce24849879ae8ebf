/** One call as the tap sees it. */
export interface Call {
  service: string;
  /** Name of the RPC, or method and path on REST: "ReserveStock", "POST /v1/checkouts", "POST /events". */
  rpc: string;
  /** Typed ids in head and body, and the request id. */
  ids: readonly string[];
  /** The cart whose purchase the call belongs to, as far as earlier calls told. */
  subject?: string;
}

/** What happens to a call: it waits, is lost with its connection, comes later, or comes twice. */
export type Effect = "park" | "close" | "reset" | "duplicate" | { delayMs: number };

export interface RuleOptions {
  /** Names of RPCs as in Call. */
  rpc: string | readonly string[];
  /** Before the service sees the call, or after it acted and before its caller hears of it. */
  at: "before" | "after";
  does: Effect;
  /** Only calls of the purchase of this cart. */
  subject?: string;
  fits?(call: Call): boolean;
  /** How many calls it is for; all when absent. */
  times?: number;
}

/** How a parked call goes on: on its way, even if its caller has gone meanwhile, or never. */
export type Verdict = "deliver" | "lose";

/** A rule that is in force until it is removed. */
export interface Rule {
  /** Calls that it changed. */
  readonly fired: number;
  /** Calls that wait now, with callers that still wait for them. */
  readonly parked: number;
  /** Takes no more calls; those that are parked wait on. */
  close(): void;
  /** Lets the parked calls go on. */
  release(verdict: Verdict): void;
  /** Ends the rule; what is parked is lost. */
  remove(): void;
}

/** A rule with what the tap does to it. */
export interface ActiveRule extends Rule {
  options: RuleOptions;
  fits(call: Call): boolean;
  /** Holds a call until release. */
  park(isAttended: () => boolean): Promise<Verdict>;
  take(): void;
}

/** Makes a rule; `end` is called when it is removed. */
export function ruleOf(options: RuleOptions, end: (rule: ActiveRule) => void): ActiveRule {
  const rpcs = new Set(typeof options.rpc === "string" ? [options.rpc] : options.rpc);
  const waiting = new Set<{ isAttended: () => boolean; go: (verdict: Verdict) => void }>();
  let fired = 0;
  let isClosed = false;
  const rule: ActiveRule = {
    options,
    get fired() {
      return fired;
    },
    get parked() {
      return [...waiting].filter(({ isAttended }) => isAttended()).length;
    },
    fits: (call) =>
      !isClosed &&
      rpcs.has(call.rpc) &&
      fired < (options.times ?? Number.POSITIVE_INFINITY) &&
      (options.subject === undefined || options.subject === call.subject) &&
      (options.fits?.(call) ?? true),
    take: () => void fired++,
    park: (isAttended) => new Promise((go) => waiting.add({ isAttended, go })),
    close() {
      isClosed = true;
    },
    release(verdict) {
      for (const { go } of waiting) go(verdict);
      waiting.clear();
    },
    remove() {
      end(rule);
      rule.release("lose");
    },
  };
  return rule;
}

const idPattern =
  /\b(?:cart|chk|ord|pay|ref)_[0-7][0-9a-hjkmnp-tv-z]{25}|\b[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b/g;

/** Learns from the calls which ids belong to the purchase of which cart. */
export function subjects() {
  const cartOf = new Map<string, string>();
  return {
    /** Ids and cart of a message; remembers what belongs together. */
    read(text: string): { ids: string[]; subject?: string } {
      const ids = [...new Set(text.match(idPattern) ?? [])];
      const subject =
        ids.find((id) => id.startsWith("cart_")) ??
        ids.map((id) => cartOf.get(id)).find((cart) => cart !== undefined);
      if (subject !== undefined) for (const id of ids) if (!cartOf.has(id)) cartOf.set(id, subject);
      return { ids, subject };
    },
    forget: () => cartOf.clear(),
  };
}
