import { later } from "@mall/kernel/time";
import { listSigningKeys as listStored } from "../db/signing-keys";
import type { Deps } from "../deps";
import { publishedAfterSeconds } from "./signing-keys";

/** A signing key without its private half. */
export interface ShownKey {
  kid: string;
  createdAt: Date;
  activatesAt: Date;
  retiredAt?: Date;
  publishedUntil?: Date;
}

/** The keys that are published, newest first. */
export const listSigningKeys =
  ({ db, clock }: Pick<Deps, "db" | "clock">) =>
  async (): Promise<ShownKey[]> => {
    const stored = await listStored(db, later(clock(), -publishedAfterSeconds));
    return stored.map(({ kid, createdAt, activatesAt = createdAt, retiredAt }) => ({
      ...{ kid, createdAt, activatesAt },
      ...(retiredAt ? { retiredAt, publishedUntil: later(retiredAt, publishedAfterSeconds) } : {}),
    }));
  };
