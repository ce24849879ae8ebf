import type { Id } from "@mall/kernel/id";
import { findAddresses, saveAddress } from "../db/addresses";
import type { Deps } from "../deps";
import { type AddressChanges, changeAddress, type SavedAddress } from "../domain/address";
import { withProfile } from "./with-profile";

/** Changes one of a user's addresses. Faults ACCOUNT_NOT_FOUND, ADDRESS_NOT_FOUND, VERSION_MISMATCH. */
export const updateAddress =
  (deps: Deps) =>
  (
    userId: Id<"usr">,
    id: Id<"adr">,
    changes: AddressChanges,
    expectedVersion: number | undefined,
  ): Promise<SavedAddress> =>
    withProfile(deps)(userId, async (tx) => {
      const book = await findAddresses(tx, deps.places, userId);
      const changed = changeAddress(book, id, changes, expectedVersion, deps.clock());
      if (!book.includes(changed)) await saveAddress(tx, deps.places, userId, changed);
      return changed;
    });
