import type { Id } from "@mall/kernel/id";
import { findAddresses, saveAddress } from "../db/addresses";
import type { Deps } from "../deps";
import { newAddress, type SavedAddress } from "../domain/address";
import { withProfile } from "./with-profile";

/** Keeps an address. Faults ACCOUNT_NOT_FOUND, ADDRESS_LIMIT. */
export const createAddress =
  (deps: Deps) =>
  (userId: Id<"usr">, input: Pick<SavedAddress, "address" | "isDefault">): Promise<SavedAddress> => {
    const draft = { ...input, id: deps.newId("adr") };
    return withProfile(deps)(userId, async (tx) => {
      const saved = newAddress(await findAddresses(tx, deps.places, userId), draft, deps.clock());
      await saveAddress(tx, deps.places, userId, saved);
      return saved;
    });
  };
