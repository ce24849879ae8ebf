import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import type { Id } from "@mall/kernel/id";
import { requestKey } from "@mall/kernel/rpc/context";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { getAccount } from "../application/get-account";
import { login } from "../application/login";
import { logout } from "../application/logout";
import { refreshToken } from "../application/refresh-token";
import { register } from "../application/register";
import { verifyPassword } from "../application/verify-password";
import type { Deps } from "../deps";
import { accountToMessage, signedInToMessage, tokensToMessage } from "./codec";

/** AuthService on the application's use cases. */
export const authRpc = (deps: Deps): Implementation =>
  implement(AuthService, {
    register: async (request) => signedInToMessage(await register(deps)(request)),
    login: async (request) => signedInToMessage(await login(deps)(request)),
    refreshToken: async (request) => ({
      tokens: tokensToMessage(await refreshToken(deps)(request.refreshToken)),
    }),
    async logout(_, context) {
      await logout(deps)(context.values.get(requestKey).actor.user!.sessionId as Id<"ses">);
      return {};
    },
    getAccount: async (request) => ({
      account: accountToMessage(await getAccount(deps)(request.userId as Id<"usr">)),
    }),
    async verifyPassword({ userId, password }) {
      await verifyPassword(deps)(userId as Id<"usr">, password);
      return {};
    },
  });
