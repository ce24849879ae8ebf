import { sql } from "drizzle-orm";
import type { Seal } from "../crypto/seal";
import type { Session } from "../db/client";
import { sqlStatement } from "../db/statement";
import type { AuditActor, AuditRow } from "./event";
import { auditColumns } from "./event";
import { addressContext, auditSeal } from "./record";

/** Which events to list; what is absent does not matter. */
export interface AuditFilter {
  actor?: string;
  subject?: string;
  action?: string;
  outcome?: "ok" | "refused";
  since?: Date;
  until?: Date;
  limit: number;
}

/** An event of the audit log, for people. */
export interface AuditEvent {
  id: string;
  at: string;
  action: string;
  outcome: "ok" | "refused";
  reason?: string;
  actor: AuditActor;
  subject?: string;
  requestId?: string;
  clientAddress?: string;
  metadata: Record<string, unknown>;
  /** Place in the chain; absent until it is sealed. */
  sequence?: number;
}

type Row = AuditRow & { sequence: string | null };

const instantOf = (date: Date | undefined): string | null => date?.toISOString() ?? null;

/** The address of an event; one that was tampered with hides no event. */
function addressOf(seal: Seal, { id, client_address }: Row): string | undefined {
  if (!client_address) return undefined;
  try {
    return seal.open(Buffer.from(client_address, "base64"), addressContext(id)).toString();
  } catch {
    return "unreadable";
  }
}

/** Lists events of a service's audit log, newest first. Addresses are opened with the master key. */
export async function listAudit(
  service: string,
  masterKey: string,
  session: Session,
  filter: AuditFilter,
): Promise<AuditEvent[]> {
  const seal = auditSeal(service, masterKey);
  const table = (name: string) => sql.raw(`"${service}"."${name}"`);
  const select = sqlStatement<{ [name: string]: string | number | null }, Row>(
    (p) => sql`select ${sql.raw(auditColumns("e"))}, s.sequence
      from ${table("audit_events")} e left join ${table("audit_seals")} s on s.event_id = e.id
      where (${p.actor}::text is null or e.actor_id = ${p.actor} or e.actor_kind = ${p.actor})
        and (${p.subject}::text is null or e.subject = ${p.subject})
        and (${p.action}::text is null or e.action = ${p.action})
        and (${p.outcome}::text is null or e.outcome = ${p.outcome})
        and (${p.since}::timestamptz is null or e.at >= ${p.since}::timestamptz)
        and (${p.until}::timestamptz is null or e.at < ${p.until}::timestamptz)
      order by e.id desc limit ${p.limit}::int`,
  );
  const { actor = null, subject = null, action = null, outcome = null, since, until, limit } = filter;
  const [from, to] = [instantOf(since), instantOf(until)];
  const rows = await select(session, { actor, subject, action, outcome, since: from, until: to, limit });
  return rows.map((row) => ({
    ...{ id: row.id, at: row.at, action: row.action, outcome: row.outcome },
    actor: { kind: row.actor_kind, id: row.actor_id ?? undefined },
    ...{ reason: row.reason ?? undefined, subject: row.subject ?? undefined },
    requestId: row.request_id ?? undefined,
    clientAddress: addressOf(seal, row),
    metadata: JSON.parse(row.metadata) as Record<string, unknown>,
    sequence: row.sequence === null ? undefined : Number(row.sequence),
  }));
}
