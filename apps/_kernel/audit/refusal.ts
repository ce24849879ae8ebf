import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { faultInfo } from "../fault";
import type { AuditEntry } from "./event";
import type { Audit } from "./record";

const entries = new WeakMap<ConnectError, AuditEntry>();

/**
 * A fault that belongs into the audit log with what it refused; its reason becomes that of the event. It is written
 * down when it leaves the handler, so it may be thrown in a transaction that it rolls back.
 *
 *     throw audited(invalidCredentials(), { action: "Login", subject: known?.account.id });
 */
export function audited<E>(error: E, entry: AuditEntry): E {
  if (error instanceof ConnectError) entries.set(error, entry);
  return error;
}

/** Writes down the refusals of handlers that are marked so. Has to stand next to the handler, where faults are its own. */
export const auditRefusals =
  (audit: Pick<Audit, "refused">): Interceptor =>
  (next) =>
  async (request) => {
    try {
      return await next(request);
    } catch (error) {
      const entry = error instanceof ConnectError ? entries.get(error) : undefined;
      const reason = faultInfo(error)?.reason;
      if (entry && reason) await audit.refused({ ...entry, reason });
      throw error;
    }
  };
