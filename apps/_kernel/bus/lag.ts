import { sql } from "drizzle-orm";
import type { Session } from "../db/client";
import { sqlStatement } from "../db/statement";

/** Events of a service's outbox that nobody has taken yet. */
export interface Lag {
  count: number;
  oldestSeconds: number;
}

/** Asks how many events wait in an outbox; those that are to come later do not wait. */
export function outboxLag(schema: string): (session: Session, now: Date) => Promise<Lag> {
  const select = sqlStatement<{ now: Date }, { count: number; oldest: string | null }>(
    (p) => sql`select count(*)::int as count, min(coalesce(not_before, created_at))::text as oldest
      from ${sql.raw(`"${schema}".outbox`)} where due_at is not null and coalesce(not_before, created_at) <= ${p.now}::timestamptz`,
  );
  return async (session, now) => {
    const [row] = await select(session, { now });
    const { count, oldest } = row!;
    return { count, oldestSeconds: oldest ? Math.max(0, (now.getTime() - Date.parse(oldest)) / 1000) : 0 };
  };
}
