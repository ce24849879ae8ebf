import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Profile as ProfileMessage, ProfileSchema } from "@mall/gen/mall/user/v1/user_pb";
import type { Profile } from "../domain/profile";

/** A profile as the contract shows it. */
export const profileToMessage = (profile: Profile): ProfileMessage =>
  create(ProfileSchema, {
    ...profile,
    createdAt: timestampFromDate(profile.createdAt),
    updatedAt: timestampFromDate(profile.updatedAt),
  });
