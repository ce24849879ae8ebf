import type { RequestContext } from "../rpc/context";

/** Who did it. */
export interface AuditActor {
  kind: "user" | "service" | "key" | "guest" | "command";
  /** Id of the user or key, name of the service; a guest has none. */
  id?: string;
}

/** One security event, as the code that causes it tells it. */
export interface AuditEntry {
  /** Name of the RPC or command, as in the contract: one grep finds it. */
  action: string;
  /** Id of what it was done to. */
  subject?: string;
  /** Reason of the fault that refused it; without one it was done. */
  reason?: string;
  /** Who did it, where that is not who asked: a sign-in is asked for by a guest and done by a user. */
  actor?: AuditActor;
  /** What else an investigation needs: ids and numbers, never secrets or personal data. */
  metadata?: Readonly<Record<string, string | number | boolean>>;
}

/** Who acts in a request; outside of one, in sweeps and consumers of events, it is the service itself. */
export function actorOf(service: string, request: RequestContext | undefined): AuditActor {
  if (!request) return { kind: "service", id: service };
  const { user, apiKey, service: caller } = request.actor;
  if (user) return { kind: "user", id: user.id };
  if (apiKey) return { kind: "key", id: apiKey.id };
  if (caller === "mall") return { kind: "command" };
  return caller ? { kind: "service", id: caller } : { kind: "guest" };
}

/** A stored event, as text that every reader gets the same: what is hashed is what is there. */
export interface AuditRow {
  id: string;
  /** ISO 8601 in UTC with milliseconds. */
  at: string;
  action: string;
  outcome: "ok" | "refused";
  reason: string | null;
  actor_kind: AuditActor["kind"];
  actor_id: string | null;
  subject: string | null;
  request_id: string | null;
  /** Sealed address in base64. */
  client_address: string | null;
  /** JSON. */
  metadata: string;
}

/** Columns of an AuditRow, of the table under this alias. */
export const auditColumns = (alias: string): string =>
  [
    `${alias}.id`,
    `to_char(${alias}.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at`,
    ...["action", "outcome", "reason", "actor_kind", "actor_id", "subject", "request_id"].map(
      (column) => `${alias}.${column}`,
    ),
    `translate(encode(${alias}.client_address, 'base64'), E'\\n', '') as client_address`,
    `${alias}.metadata::text as metadata`,
  ].join(", ");
