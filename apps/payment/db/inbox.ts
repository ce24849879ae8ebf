import type { Tx } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { sql } from "drizzle-orm";

const record = sqlStatement<{ consumer: string; messageId: string; now: Date }, { first: number }>(
  (p) => sql`insert into payment.inbox (consumer, message_id, received_at)
    values (${p.consumer}, ${p.messageId}, ${p.now}) on conflict do nothing returning 1 as first`,
);

/** Records a provider's message by its UUID; false when it came before. */
export const recordNotice = async (
  tx: Tx,
  provider: string,
  messageId: string,
  now: Date,
): Promise<boolean> => (await record(tx, { consumer: `webhook:${provider}`, messageId, now })).length === 1;
