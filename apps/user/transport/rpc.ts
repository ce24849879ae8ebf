import { UserService } from "@mall/gen/mall/user/v1/user_pb";
import { requestKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { getMe } from "../application/get-me";
import { updateMe } from "../application/update-me";
import type { Deps } from "../deps";
import { profileToMessage } from "./codec";

/** UserService on the application's use cases. */
export const userRpc = (deps: Deps): Implementation =>
  implement(UserService, {
    async getMe(_, context) {
      const { actor } = context.values.get(requestKey);
      return { user: profileToMessage(await getMe(deps)(actor.user!.id)) };
    },
    async updateMe({ displayName, phone, expectedVersion }, context) {
      const { actor } = context.values.get(requestKey);
      const profile = await updateMe(deps)(actor.user!.id, { displayName, phone }, expectedVersion);
      return { user: profileToMessage(profile) };
    },
  });
