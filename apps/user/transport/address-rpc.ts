import type { HandlerContext } from "@connectrpc/connect";
import type { Address as AddressMessage } from "@mall/gen/mall/common/v1/address_pb";
import { AddressService } from "@mall/gen/mall/user/v1/addresses_pb";
import type { Id } from "@mall/kernel/id";
import { requestKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { createAddress } from "../application/create-address";
import { deleteAddress } from "../application/delete-address";
import { listAddresses } from "../application/list-addresses";
import { updateAddress } from "../application/update-address";
import type { Deps } from "../deps";
import type { Address } from "../domain/address";
import { addressToMessage } from "./codec";

const userOf = (context: HandlerContext): Id<"usr"> => context.values.get(requestKey).actor.user!.id;

const addressOf = ({ name, line1, line2, city, region, postalCode, country }: AddressMessage): Address => ({
  ...{ name, line1, line2, city, region, postalCode, country },
});

/** AddressService on the application's use cases. */
export const addressRpc = (deps: Deps): Implementation =>
  implement(AddressService, {
    async listAddresses(_, context) {
      return { addresses: (await listAddresses(deps)(userOf(context))).map(addressToMessage) };
    },
    async createAddress({ address, isDefault }, context) {
      const input = { address: addressOf(address!), isDefault };
      return { address: addressToMessage(await createAddress(deps)(userOf(context), input)) };
    },
    async updateAddress({ addressId, address, isDefault, expectedVersion }, context) {
      const changes = { address: address && addressOf(address), isDefault: isDefault || undefined };
      const id = addressId as Id<"adr">;
      const saved = await updateAddress(deps)(userOf(context), id, changes, expectedVersion);
      return { address: addressToMessage(saved) };
    },
    async deleteAddress({ addressId, expectedVersion }, context) {
      await deleteAddress(deps)(userOf(context), addressId as Id<"adr">, expectedVersion);
      return {};
    },
  });
