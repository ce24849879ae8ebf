import { PasswordService } from "@mall/gen/mall/auth/v1/passwords_pb";
import { requestKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { changePassword } from "../application/change-password";
import { requestPasswordReset } from "../application/request-password-reset";
import { resetPassword } from "../application/reset-password";
import type { Deps } from "../deps";
import { tokensToMessage } from "./codec";

/** PasswordService on the application's use cases. */
export const passwordRpc = (deps: Deps): Implementation =>
  implement(PasswordService, {
    async changePassword({ currentPassword, newPassword }, context) {
      const { id } = context.values.get(requestKey).actor.user!;
      return { tokens: tokensToMessage(await changePassword(deps)(id, { currentPassword, newPassword })) };
    },
    async requestPasswordReset({ email }) {
      await requestPasswordReset(deps)(email);
      return {};
    },
    async resetPassword({ code, newPassword }) {
      await resetPassword(deps)({ code, newPassword });
      return {};
    },
  });
