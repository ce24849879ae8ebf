import journal from "@mall/db/migrations/user/meta/_journal.json";
import { AuthService } from "@mall/gen/mall/auth/v1/auth_pb";
import openapi from "@mall/gen/openapi/user.json";
import { createApp, createKernel, type MallApp, type Resources } from "@mall/kernel/app";
import { parseEnv } from "@mall/kernel/env";
import type { Id } from "@mall/kernel/id";
import { forgetUser } from "./application/forget-user";
import { clearProfiles } from "./db/clear-profiles";
import type { Deps } from "./deps";
import { userEnv } from "./env";
import { addressRpc } from "./transport/address-rpc";
import { userConsumers } from "./transport/events";
import { userRpc } from "./transport/rpc";

/** The user service on a host's resources. */
export function createUserService(resources: Resources): MallApp {
  const kernel = createKernel("user", resources, parseEnv(userEnv, resources.env));
  const { personal } = kernel;
  const deps: Deps = {
    ...kernel,
    people: personal.rows("profiles"),
    places: personal.rows("addresses"),
    rpc: { auth: kernel.client(AuthService) },
  };
  return createApp(kernel, {
    implementations: [userRpc(deps), addressRpc(deps)],
    consumers: userConsumers(deps),
    migrations: journal.entries.length,
    openapi,
    forget: async (tx, subject) => {
      if (subject.startsWith("usr_")) await forgetUser(deps)(tx, subject as Id<"usr">);
    },
    clear: [clearProfiles],
  });
}
