import type { Seal } from "@mall/kernel/crypto/seal";
import { later } from "@mall/kernel/time";
import { deleteRetiredKeys, insertNextKey } from "../db/signing-keys";
import type { Deps } from "../deps";
import { makeKey, publishedAfterSeconds, publishedBeforeSeconds } from "./signing-keys";

/** What a rotation did. */
export interface Rotation {
  kid: string;
  activatesAt: Date;
}

/**
 * Makes the key that signs access tokens in a minute: by then whoever verifies them has it, because an unknown key is
 * asked for again after 30 s at the latest, and auth tells a new one after 10 s. The one before signs until then, and is
 * published for an hour longer, more than any of its tokens lives. No request fails.
 */
export const rotateSigningKeys =
  (deps: Pick<Deps, "db" | "clock" | "audit"> & { sealKeys: Seal }) => async (): Promise<Rotation> => {
    const key = await makeKey(deps.sealKeys);
    const now = deps.clock();
    const activatesAt = later(now, publishedBeforeSeconds);
    await deps.db.tx(async (tx) => {
      await insertNextKey(tx, key, now, activatesAt);
      await deps.audit.record(tx, { action: "RotateSigningKeys", subject: key.kid });
    });
    return { kid: key.kid, activatesAt };
  };

/** Deletes the keys that are published no more. */
export const cleanSigningKeys = ({ db, clock }: Pick<Deps, "db" | "clock">): Promise<void> =>
  deleteRetiredKeys(db, later(clock(), -publishedAfterSeconds));
