import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { extendHold, findHold } from "../db/stock";
import type { Deps } from "../deps";
import { holdExpired } from "../domain/stock";

/** Moves the end of a checkout's hold; undefined = it stays until claimed or released. Faults: HOLD_EXPIRED, HOLD_NOT_FOUND. */
export const extendStock =
  (deps: Pick<Deps, "db" | "clock">) =>
  async (checkoutId: Id<"chk">, expiresAt: Date | undefined): Promise<void> => {
    if (await extendHold(deps.db, checkoutId, expiresAt, deps.clock())) return;
    throw (await findHold(deps.db, checkoutId)) ? holdExpired() : notFound("HOLD");
  };
