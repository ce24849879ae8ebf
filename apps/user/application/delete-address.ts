import type { Id } from "@mall/kernel/id";
import { deleteAddress as deleteRow, findAddresses, saveAddress } from "../db/addresses";
import type { Deps } from "../deps";
import { heirOf } from "../domain/address";
import { withProfile } from "./with-profile";

/** Forgets one of a user's addresses. Faults ACCOUNT_NOT_FOUND, ADDRESS_NOT_FOUND, VERSION_MISMATCH. */
export const deleteAddress =
  (deps: Deps) =>
  (userId: Id<"usr">, id: Id<"adr">, expectedVersion: number | undefined): Promise<void> =>
    withProfile(deps)(userId, async (tx) => {
      const heir = heirOf(await findAddresses(tx, deps.places, userId), id, expectedVersion, deps.clock());
      await deleteRow(tx, id);
      if (heir) await saveAddress(tx, deps.places, userId, heir);
    });
