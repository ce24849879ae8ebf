import type { Books } from "./books";
import type { Faults } from "./faults";
import type { Holds } from "./holds";
import type { RequestCounts } from "./request-counts";
import type { Webhooks } from "./webhooks";

/** What the Stripe side of a simulator is made of. */
export interface StripeSide {
  books: Books;
  faults: Faults;
  holds: Holds;
  webhooks: Webhooks;
  counts: RequestCounts;
  seed: string;
  clock: () => number;
}
