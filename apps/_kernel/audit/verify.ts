import { sql } from "drizzle-orm";
import type { Session } from "../db/client";
import { sqlStatement } from "../db/statement";
import { type Chain, chainOf, type Head } from "./chain";
import { type AuditRow, auditColumns } from "./event";

const pageMax = 1000;

/** What a verification found. */
export interface Verdict {
  /** Events that are sealed and as they were. */
  sealed: number;
  /** Events that wait for the sealer; they are not protected yet. */
  pending: number;
  /** The first row that is not as it was written, as a sentence. */
  firstBad?: string;
}

type SealRow = { [K in keyof AuditRow]: AuditRow[K] | null } & {
  sequence: string;
  event_id: string;
  hash: Buffer;
  head_hash: Buffer | null;
  head_mac: Buffer | null;
};

interface HeadRow {
  sequence: string;
  hash: Buffer;
  mac: Buffer;
}

function statements(service: string) {
  const table = (name: string) => sql.raw(`"${service}"."${name}"`);
  return {
    head: sqlStatement<object, HeadRow>(
      () => sql`select sequence, hash, mac from ${table("audit_heads")} order by sequence desc limit 1`,
    ),
    seals: sqlStatement<{ after: number }, SealRow>(
      (p) => sql`select s.sequence, s.event_id, s.hash, h.hash as head_hash, h.mac as head_mac,
          ${sql.raw(auditColumns("e"))}
        from ${table("audit_seals")} s
        left join ${table("audit_events")} e on e.id = s.event_id
        left join ${table("audit_heads")} h on h.sequence = s.sequence
        where s.sequence > ${p.after}::bigint order by s.sequence limit ${sql.raw(String(pageMax))}`,
    ),
    // one statement, one snapshot: an event is pending or sealed, also while the sealer works
    unsealed: sqlStatement<{ after: string }, { id: string; is_known: boolean }>(
      (p) => sql`select e.id, exists (select from ${table("audit_seals")} s where s.event_id = e.id)
          or exists (select from ${table("audit_pending")} p where p.event_id = e.id) as is_known
        from ${table("audit_events")} e where e.id > ${p.after}::uuid order by e.id
        limit ${sql.raw(String(pageMax))}`,
    ),
    pending: sqlStatement<object, { n: number; missing: string | null }>(
      () => sql`select count(*)::int as n,
          min(p.event_id::text) filter (where e.id is null) as missing
        from ${table("audit_pending")} p left join ${table("audit_events")} e on e.id = p.event_id`,
    ),
  };
}

type Statements = ReturnType<typeof statements>;

const headOf = ({ sequence, hash, mac }: HeadRow): Head => ({ sequence: Number(sequence), hash, mac });
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(b);

/** What is wrong with one seal, given the hash before it; undefined when nothing is. */
function faultOf(chain: Chain, before: { sequence: number; hash: Uint8Array }, row: SealRow) {
  const sequence = Number(row.sequence);
  if (sequence !== before.sequence + 1) return `sequence ${before.sequence + 1} is missing`;
  const where = `sequence ${sequence}, event ${row.event_id}:`;
  if (row.id === null) return `${where} the event is missing`;
  if (!chain.isHashAfter(row.hash, before.hash, sequence, row as AuditRow))
    return `${where} the event or its place in the chain was changed`;
  if (row.head_hash === null) return undefined;
  if (!same(row.head_hash, row.hash)) return `${where} another hash stood here when this end was signed`;
  const isSigned = chain.isSigned({ sequence, hash: row.head_hash, mac: row.head_mac! });
  return isSigned ? undefined : `${where} its head is not signed with our key`;
}

/** Follows the chain to its end and beyond, to the heads that must be there. */
async function followChain(chain: Chain, find: Statements, session: Session, expected: readonly Head[]) {
  let last: { sequence: number; hash: Uint8Array } = chain.start;
  const bad = (firstBad: string) => ({ sealed: last.sequence, firstBad });
  const signed = expected.filter((head) => chain.isSigned(head));
  for (;;) {
    const rows = await find.seals(session, { after: last.sequence });
    for (const row of rows) {
      const wrong = faultOf(chain, last, row);
      if (wrong) return bad(wrong);
      last = { sequence: last.sequence + 1, hash: row.hash };
      const head = signed.find(({ sequence }) => sequence === last.sequence);
      if (head && !same(head.hash, last.hash))
        return bad(`sequence ${last.sequence}, event ${row.event_id}: another hash stood here before`);
    }
    if (rows.length < pageMax) break;
  }
  const forged = expected.find((head) => !signed.includes(head));
  if (forged) return bad(`the head of sequence ${forged.sequence} is not signed with our key`);
  const beyond = Math.max(0, ...signed.map(({ sequence }) => sequence));
  if (beyond > last.sequence)
    return bad(`sequence ${last.sequence + 1} is missing: the log reached ${beyond} and was cut off`);
  return { sealed: last.sequence, firstBad: undefined };
}

/** The first event that is there without a seal and without waiting for one. */
async function neverSealed(find: Statements, session: Session): Promise<string | undefined> {
  for (let after = "00000000-0000-0000-0000-000000000000"; ; ) {
    const rows = await find.unsealed(session, { after });
    const unknown = rows.find((row) => !row.is_known);
    if (unknown) return `event ${unknown.id} was kept from being sealed`;
    if (rows.length < pageMax) return undefined;
    after = rows.at(-1)!.id;
  }
}

/**
 * Holds a service's audit log against its chain of hashes, its signed heads and, when given, a head that was exported
 * before: edits, deletions, another order and cut off ends are found. The service may go on writing meanwhile.
 */
export async function verifyAudit(
  service: string,
  masterKey: string,
  session: Session,
  exported?: Head,
): Promise<Verdict> {
  const chain = chainOf(service, masterKey);
  const find = statements(service);
  // before the chain is read, or what is sealed meanwhile would look cut off
  const newest = (await find.head(session, {})).map(headOf);
  const followed = await followChain(chain, find, session, [...newest, ...(exported ? [exported] : [])]);
  const [{ n, missing } = { n: 0, missing: null }] = await find.pending(session, {});
  const firstBad =
    followed.firstBad ??
    (missing ? `event ${missing} was deleted before it was sealed` : await neverSealed(find, session));
  return { sealed: followed.sealed, pending: n, firstBad };
}

/** The newest signed head of a service's audit log, to be kept elsewhere; undefined while nothing is sealed. */
export async function auditHead(service: string, session: Session): Promise<Head | undefined> {
  const [row] = await statements(service).head(session, {});
  return row && headOf(row);
}
