/** Limits how much work repetitions may add. */
export interface RetryBudget {
  /** Notes one request. */
  spend(): void;
  /** Whether one more attempt may be made; takes it. */
  take(): boolean;
}

const [perRequest, tokensMax] = [0.1, 10];

/**
 * One more attempt for every ten requests, and at most ten in a row: an outage of a neighbour makes 1.1 times its
 * usual load, never a storm. Google's SRE book, chapter 22, has the reasons.
 */
export function retryBudget(): RetryBudget {
  let tokens = tokensMax;
  return {
    spend() {
      tokens = Math.min(tokensMax, tokens + perRequest);
    },
    take() {
      if (tokens < 1) return false;
      tokens--;
      return true;
    },
  };
}
