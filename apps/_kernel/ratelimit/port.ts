/** So many requests a second on average and so many at once: a bucket of `burst` tokens that fills up again. */
export interface Limit {
  /** Part of the key, and what clients read in RateLimit-Policy. */
  name: string;
  /** Tokens that come back each second; a whole number above 10. */
  perSecond: number;
  burst: number;
}

/** What a limiter says to one request. */
export interface Verdict {
  isAllowed: boolean;
  /** Requests that would be let in at once from now on. */
  remaining: number;
}

/** A limiter that need not know how much of a limit is left; see `guardedLimiter`. */
export interface SharedLimiter {
  take(limit: Limit, key: string): Promise<Pick<Verdict, "isAllowed"> & Partial<Verdict>>;
}

/** Counts requests by limit and key. It sheds load: what it has counted may get lost. */
export interface RateLimiter {
  /** Takes one token of the key's bucket, if there is one. */
  take(limit: Limit, key: string): Promise<Verdict>;
}
