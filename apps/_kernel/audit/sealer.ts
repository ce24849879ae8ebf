import { sql } from "drizzle-orm";
import type { Db, Tx } from "../db/client";
import { sqlStatement } from "../db/statement";
import { type Chain, chainOf } from "./chain";
import { type AuditRow, auditColumns } from "./event";

const batchMax = 500;
const batchesMax = 20;

function statements(service: string) {
  const table = (name: string) => sql.raw(`"${service}"."${name}"`);
  const columns = sql.raw(auditColumns("e"));
  return {
    isIdle: sqlStatement<object, { idle: boolean }>(
      () => sql`select not exists (select from ${table("audit_pending")}) as idle`,
    ),
    lock: sqlStatement<object, { locked: boolean }>(
      () => sql`select pg_try_advisory_xact_lock(hashtextextended(${`${service}/audit`}::text, 0)) as locked`,
    ),
    // the newest of both: cut off seals stay a gap that the head before it tells of
    tip: sqlStatement<object, { sequence: string; hash: Buffer }>(
      () => sql`select sequence, hash from (
          (select sequence, hash from ${table("audit_seals")} order by sequence desc limit 1) union all
          (select sequence, hash from ${table("audit_heads")} order by sequence desc limit 1)) as ends
        order by sequence desc limit 1`,
    ),
    pending: sqlStatement<object, AuditRow>(
      () => sql`select ${columns} from ${table("audit_pending")} p
        join ${table("audit_events")} e on e.id = p.event_id
        order by p.event_id limit ${sql.raw(String(batchMax))}`,
    ),
    seal: sqlStatement<{ seals: string; sequence: number; hash: Uint8Array; mac: Uint8Array }, object>(
      (p) => sql`with seals as (
          insert into ${table("audit_seals")} (sequence, event_id, hash)
          select s.sequence, s.event_id, decode(s.hash, 'hex')
          from jsonb_to_recordset(${p.seals}::text::jsonb) as s(sequence bigint, event_id uuid, hash text)
          returning event_id
        ), sealed as (
          delete from ${table("audit_pending")} where event_id in (select event_id from seals)
        )
        insert into ${table("audit_heads")} (sequence, hash, mac)
        values (${p.sequence}::bigint, ${p.hash}::bytea, ${p.mac}::bytea)`,
    ),
  };
}

/** Continues a chain over events, in their order. */
function sealed(chain: Chain, from: { sequence: number; hash: Uint8Array }, events: readonly AuditRow[]) {
  let { sequence, hash } = from;
  const seals = events.map((event) => {
    sequence++;
    hash = chain.hashAfter(hash, sequence, event);
    return { sequence, event_id: event.id, hash: Buffer.from(hash).toString("hex") };
  });
  return { seals: JSON.stringify(seals), sequence, hash, mac: chain.sign(sequence, hash) };
}

/**
 * Seals what has been committed, 500 events a transaction, and signs the new end. One sealer of a service works at a
 * time, the others pass; writers wait for nobody. The order is that of sealing, so an event that commits late is later
 * in the chain and leaves no gap.
 */
export function createSealer(service: string, masterKey: string, db: Db): () => Promise<void> {
  const chain = chainOf(service, masterKey);
  const { isIdle, lock, tip, pending, seal } = statements(service);

  async function sealBatch(tx: Tx): Promise<number> {
    const [{ locked } = { locked: false }] = await lock(tx, {});
    if (!locked) return 0;
    const events = await pending(tx, {});
    if (events.length === 0) return 0;
    const [end] = await tip(tx, {});
    const from = end ? { sequence: Number(end.sequence), hash: end.hash } : chain.start;
    await seal(tx, sealed(chain, from, events));
    return events.length;
  }

  return async () => {
    const [{ idle } = { idle: true }] = await isIdle(db, {});
    for (let batch = 0; !idle && batch < batchesMax; batch++) {
      if ((await db.tx(sealBatch)) < batchMax) return;
    }
  };
}
