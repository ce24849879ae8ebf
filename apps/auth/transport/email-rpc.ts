import type { HandlerContext } from "@connectrpc/connect";
import { EmailService } from "@mall/gen/mall/auth/v1/email_pb";
import type { Id } from "@mall/kernel/id";
import { requestKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { confirmEmailChange } from "../application/confirm-email-change";
import { requestEmailChange } from "../application/request-email-change";
import { requestEmailVerification } from "../application/request-email-verification";
import { verifyEmail } from "../application/verify-email";
import type { Deps } from "../deps";
import { accountToMessage } from "./codec";

const userOf = (context: HandlerContext): Id<"usr"> => context.values.get(requestKey).actor.user!.id;

/** EmailService on the application's use cases. */
export const emailRpc = (deps: Deps): Implementation =>
  implement(EmailService, {
    async requestEmailVerification(_, context) {
      await requestEmailVerification(deps)(userOf(context));
      return {};
    },
    verifyEmail: async ({ code }) => ({ user: accountToMessage(await verifyEmail(deps)(code)) }),
    async requestEmailChange({ email, password }, context) {
      await requestEmailChange(deps)(userOf(context), { email, password });
      return {};
    },
    confirmEmailChange: async ({ code }) => ({
      user: accountToMessage(await confirmEmailChange(deps)(code)),
    }),
  });
