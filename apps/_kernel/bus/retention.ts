import { sql } from "drizzle-orm";
import type { Session } from "../db/client";
import { sqlStatement } from "../db/statement";
import { uuidv7 } from "../id";

/** How long published events, records of handled messages and redriven dead letters are kept. */
const keptMs = 7 * 24 * 3600 * 1000;
const batchMax = 1000;
const batchesMax = 20;

/** The least id that an event of this instant can have. */
const firstIdAt = (ms: number): string => uuidv7(ms, new Uint8Array(10));

/**
 * Deletes what messaging has kept for a week, in batches of 1,000 rows a table and at most 20 batches a call. Waiting
 * events and waiting dead letters stay.
 */
export function messageCleaner(schema: string): (session: Session, now: Date) => Promise<void> {
  const table = (name: string) => sql.raw(`"${schema}"."${name}"`);
  const clean = sqlStatement<{ before: Date; firstId: string }, { most: number }>(
    (p) => sql`with old_events as (
        delete from ${table("outbox")} where id in (select id from ${table("outbox")}
          where id < ${p.firstId}::uuid and due_at is null order by id limit ${sql.raw(String(batchMax))})
        returning 1
      ), old_messages as (
        delete from ${table("inbox")} where (consumer, message_id) in (select consumer, message_id
          from ${table("inbox")} where received_at < ${p.before} order by received_at
          limit ${sql.raw(String(batchMax))})
        returning 1
      ), old_letters as (
        delete from ${table("dead_letters")} where id in (select id from ${table("dead_letters")}
          where redriven_at < ${p.before} limit ${sql.raw(String(batchMax))})
        returning 1
      )
      select greatest((select count(*) from old_events), (select count(*) from old_messages),
        (select count(*) from old_letters))::int as most`,
  );
  return async (session, now) => {
    const before = new Date(now.getTime() - keptMs);
    for (let batch = 0; batch < batchesMax; batch++) {
      const [row] = await clean(session, { before, firstId: firstIdAt(before.getTime()) });
      if (row!.most < batchMax) return;
    }
  };
}
