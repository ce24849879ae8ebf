/** What has been set, by key, as text. */
export type Values = Readonly<Record<string, string>>;

/** One change of the configuration. */
export interface Revision {
  /** Counts up from 1 without gaps. */
  revision: number;
  at: Date;
  /** Who changed it: kind and id, as the audit log has them. */
  author: string;
  /** What was changed; null for what is no longer set. */
  changes: Readonly<Record<string, string | null>>;
  /** Everything that is set since. */
  values: Values;
}

/** Keeps every revision of the configuration; the newest is in force. */
export interface ConfigStore {
  /** The newest revision; undefined before the first change. */
  newest(): Promise<Revision | undefined>;
  /** A revision; undefined when there is none of this number. */
  find(revision: number): Promise<Revision | undefined>;
  /** Up to `limit` revisions older than `before`, newest first. */
  list(before: number | undefined, limit: number): Promise<Revision[]>;
  /** Adds the next revision; false when there is one of this number already, so that of two at once one gets it. */
  add(next: Revision): Promise<boolean>;
}
