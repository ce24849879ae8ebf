/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What is kept of a group. */
export interface Seen {
  /** Names all that is loaded from now on, until the group is forgotten. */
  generation: string;
  /** Values in the order of the keys; undefined for what is not kept. */
  values: (Json | undefined)[];
}

/**
 * Keeps values for a while, in groups that are forgotten as a whole. Nothing may depend on a value being there; all may
 * depend on this: a value whose loading began before `forget` is never read after it, whenever it is written.
 */
export interface Cache {
  read(group: string, keys: readonly string[]): Promise<Seen>;
  /** Keeps values that were loaded after the read that gave `generation`, for at most `ttlMs`. */
  write(group: string, generation: string, values: ReadonlyMap<string, Json>, ttlMs: number): Promise<void>;
  forget(group: string): Promise<void>;
}
