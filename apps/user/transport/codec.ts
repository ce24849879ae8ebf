import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type SavedAddress as SavedAddressMessage,
  SavedAddressSchema,
} from "@mall/gen/mall/user/v1/addresses_pb";
import {
  type Export as ExportMessage,
  ExportSchema,
  type Profile as ProfileMessage,
  ProfileSchema,
} from "@mall/gen/mall/user/v1/user_pb";
import type { Export } from "../application/export-me";
import type { SavedAddress } from "../domain/address";
import type { Profile } from "../domain/profile";

/** A profile as the contract shows it. */
export const profileToMessage = (profile: Profile): ProfileMessage =>
  create(ProfileSchema, {
    ...profile,
    createdAt: timestampFromDate(profile.createdAt),
    updatedAt: timestampFromDate(profile.updatedAt),
  });

/** A saved address as the contract shows it. */
export const addressToMessage = (saved: SavedAddress): SavedAddressMessage =>
  create(SavedAddressSchema, {
    ...saved,
    createdAt: timestampFromDate(saved.createdAt),
    updatedAt: timestampFromDate(saved.updatedAt),
  });

/** What is known about a user, as the contract shows it. */
export const exportToMessage = (known: Export): ExportMessage =>
  create(ExportSchema, {
    profile: profileToMessage(known.profile),
    roles: known.roles,
    registeredAt: timestampFromDate(known.registeredAt),
    addresses: known.addresses.map(addressToMessage),
    exportedAt: timestampFromDate(known.exportedAt),
  });
