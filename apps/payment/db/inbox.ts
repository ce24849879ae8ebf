import { createHash } from "node:crypto";
import type { Tx } from "@mall/kernel/db/client";
import { sqlStatement } from "@mall/kernel/db/statement";
import { sql } from "drizzle-orm";

const record = sqlStatement<{ consumer: string; messageId: string; now: Date }, { first: number }>(
  (p) => sql`insert into payment.inbox (consumer, message_id, received_at)
    values (${p.consumer}, ${p.messageId}, ${p.now}) on conflict do nothing returning 1 as first`,
);

/** The UUID (version 8) that stands for a provider's message id, which may be any text. */
function uuidOfText(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = 0x80 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Records a provider's message; false when it came before. */
export const recordNotice = async (tx: Tx, provider: string, noticeId: string, now: Date): Promise<boolean> =>
  (await record(tx, { consumer: `webhook:${provider}`, messageId: uuidOfText(noticeId), now })).length === 1;
