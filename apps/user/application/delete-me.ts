import { UserDeletedSchema } from "@mall/gen/mall/user/v1/events_pb";
import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";
import { forgetUser } from "./forget-user";

/**
 * Forgets a user who has given the password once more, and tells everybody else to. What is left is the fact that this
 * id was deleted. A second time it changes nothing. Faults INVALID_CREDENTIALS, OVERLOADED, from auth.
 */
export const deleteMe =
  (deps: Deps) =>
  async (userId: Id<"usr">, password: string): Promise<void> => {
    await deps.rpc.auth.verifyPassword({ userId, password });
    await deps.db.tx(async (tx) => {
      const version = await forgetUser(deps)(tx, userId);
      if (version === undefined) return;
      await deps.audit.record(tx, { action: "DeleteMe", subject: userId });
      await deps.announce(tx, {
        desc: UserDeletedSchema,
        data: { userId },
        subject: userId,
        sequence: version,
      });
    });
  };
