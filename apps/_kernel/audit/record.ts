import { sql } from "drizzle-orm";
import { turnstile, within } from "../concurrency";
import { type Seal, sealer } from "../crypto/seal";
import { uncancelled } from "../db/cancellation";
import type { Db, Tx } from "../db/client";
import { sqlStatement } from "../db/statement";
import { fault } from "../fault";
import { uuidv7 } from "../id";
import { errorFields, type Log } from "../log";
import { currentRequest } from "../rpc/context";
import { type AuditActor, type AuditEntry, actorOf } from "./event";

/** Writes security events down: who did what to what, from where, in which request. */
export interface Audit {
  /** Stores an event in the transaction of its effect: both are there, or neither. */
  record(tx: Tx, entry: AuditEntry): Promise<void>;
  /**
   * Stores a refusal in a transaction of its own. Never rejects, and is waited for 1 s at most: the answer does not
   * depend on it. Not inside a transaction.
   */
  refused(entry: AuditEntry & { reason: string }): Promise<void>;
}

export interface AuditDeps {
  service: string;
  db: Db;
  clock: () => Date;
  /** For addresses. */
  seal: Seal;
  background(work: Promise<unknown>): void;
  log: Log;
}

/** The seal on the addresses of a service's events. */
export const auditSeal = (service: string, masterKey: string): Seal => sealer(masterKey, `${service}/audit`);

/** What the address of an event is bound to. */
export const addressContext = (eventId: string): string => `audit|${eventId}`;

interface Stored {
  id: string;
  at: Date;
  action: string;
  reason: string | null;
  actorKind: AuditActor["kind"];
  actorId: string | null;
  subject: string | null;
  requestId: string | null;
  clientAddress: Uint8Array | null;
  metadata: string;
}

const refusalWaitMs = 1000;

/** A flood of refusals must not take the connections of those who are let in. */
const refusalsAtOnce = 2;
const refusalsWaitingMax = 200;

const tooMany = () => fault("unavailable", "OVERLOADED", "Too many refusals wait to be written down.");

/** The audit log of one service, for its writers. */
export function createAudit({ service, db, clock, seal, background, log }: AuditDeps): Audit {
  const table = (name: string) => sql.raw(`"${service}"."${name}"`);
  const insert = sqlStatement<Stored, object>(
    (p) => sql`with event as (
        insert into ${table("audit_events")} (id, at, action, outcome, reason, actor_kind, actor_id, subject,
          request_id, client_address, metadata)
        values (${p.id}::uuid, ${p.at}::timestamptz, ${p.action}::text,
          case when ${p.reason}::text is null then 'ok' else 'refused' end, ${p.reason}::text,
          ${p.actorKind}::text, ${p.actorId}::text, ${p.subject}::text, ${p.requestId}::uuid,
          ${p.clientAddress}::bytea, ${p.metadata}::text::jsonb)
        returning id)
      insert into ${table("audit_pending")} (event_id) select id from event`,
  );
  const atOnce = turnstile(refusalsAtOnce, { waitingMax: refusalsWaitingMax, refuse: tooMany });

  async function record(tx: Tx, entry: AuditEntry): Promise<void> {
    const request = currentRequest.getStore();
    const actor = entry.actor ?? actorOf(service, request);
    const address = request?.client.address;
    const at = clock();
    const id = uuidv7(at.getTime());
    await insert(tx, {
      ...{ id, at, action: entry.action, reason: entry.reason ?? null },
      ...{ actorKind: actor.kind, actorId: actor.id ?? null, subject: entry.subject ?? null },
      requestId: request?.requestId || null,
      clientAddress: address ? seal.seal(Buffer.from(address), addressContext(id)) : null,
      metadata: JSON.stringify(entry.metadata ?? {}),
    });
  }

  return {
    record,
    async refused(entry) {
      // who is refused cannot go away to stay unseen
      const work = uncancelled(() => atOnce(() => db.tx((tx) => record(tx, entry))));
      const { action, reason } = entry;
      const told = work.catch((error) =>
        log("error", "a refusal is not in the audit log", { action, reason, ...errorFields(error) }),
      );
      background(told);
      await within(refusalWaitMs, "writing a refusal down", told).catch(() => {});
    },
  };
}
