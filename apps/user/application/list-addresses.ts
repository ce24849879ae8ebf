import type { Id } from "@mall/kernel/id";
import { findAddresses } from "../db/addresses";
import type { Deps } from "../deps";
import type { SavedAddress } from "../domain/address";

/** The addresses that a user keeps, the default first, then the newest. */
export const listAddresses =
  (deps: Pick<Deps, "db" | "places">) =>
  (userId: Id<"usr">): Promise<SavedAddress[]> =>
    findAddresses(deps.db, deps.places, userId);
