import { sql } from "drizzle-orm";
import type { Db, Session } from "../db/client";
import { sqlStatement } from "../db/statement";
import { isEvent } from "./consume";

/** A message that nobody could handle. */
export interface DeadLetter {
  /** Id of the event, or a digest of what came instead of one. */
  id: string;
  /** The service that should have handled it. */
  consumer: string;
  event: unknown;
  error: string;
  deadAt: Date;
  /** When it was handled after all. */
  redrivenAt?: Date;
}

/** The dead letters that one service keeps: events nobody took from it, and events it could not handle. */
export interface DeadLetters {
  /** Keeps a message of a consumer, once, unless it was handled meanwhile. */
  bury(session: Session, consumer: string, message: unknown, error: string, now: Date): Promise<void>;
  /** Those that wait, oldest first; at most 1,000. */
  list(session: Session): Promise<DeadLetter[]>;
  find(session: Session, id: string): Promise<DeadLetter | undefined>;
  /** Notes that it was handled; false when somebody had noted it before. */
  redriven(session: Session, id: string, now: Date): Promise<boolean>;
  /** Notes why it could not be handled this time. */
  refused(session: Session, id: string, error: string): Promise<void>;
}

interface Row {
  id: string;
  consumer: string;
  event: string;
  error: string;
  dead_at: string;
  redriven_at: string | null;
}

const letterOf = (row: Row): DeadLetter => ({
  id: row.id,
  consumer: row.consumer,
  event: JSON.parse(row.event),
  error: row.error,
  deadAt: new Date(row.dead_at),
  redrivenAt: row.redriven_at ? new Date(row.redriven_at) : undefined,
});

/** JSON that PostgreSQL can keep: it has neither NUL nor halves of characters. */
const storable = (message: unknown): string =>
  JSON.stringify(message ?? null).replaceAll(/\\u(?:0000|d[89a-f][0-9a-f]{2})/gi, "\\ufffd");

/** What a message without an id is known by, so that the same one is buried once. */
async function digestOf(message: unknown): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(message ?? null));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha256-${Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The dead letters in the PostgreSQL schema of a service. */
export function deadLettersOf(schema: string): DeadLetters {
  const table = sql.raw(`"${schema}"."dead_letters"`);
  const inbox = sql.raw(`"${schema}"."inbox"`);
  const columns = sql.raw("id, consumer, event::text as event, error, dead_at, redriven_at");
  const bury = sqlStatement<
    Omit<Row, "dead_at" | "redriven_at"> & { type: string | null; messageId: string | null; now: Date },
    object
  >(
    (p) => sql`insert into ${table} (id, consumer, event, error, dead_at)
      select ${p.id}::text, ${p.consumer}, ${p.event}::text::jsonb, ${p.error}, ${p.now}::timestamptz
      where not exists (select from ${inbox} where consumer = ${p.type} and message_id = ${p.messageId}::uuid)
      on conflict do nothing`,
  );
  const list = sqlStatement<object, Row>(
    () => sql`select ${columns} from ${table} where redriven_at is null order by dead_at, id limit 1000`,
  );
  const find = sqlStatement<{ id: string }, Row>(
    (p) => sql`select ${columns} from ${table} where id = ${p.id}`,
  );
  const redriven = sqlStatement<{ id: string; now: Date }, { id: string }>(
    (p) =>
      sql`update ${table} set redriven_at = ${p.now} where id = ${p.id} and redriven_at is null returning id`,
  );
  const refused = sqlStatement<{ id: string; error: string }, object>(
    (p) => sql`update ${table} set error = ${p.error} where id = ${p.id} and redriven_at is null`,
  );
  return {
    async bury(session, consumer, message, error, now) {
      const known = isEvent(message) ? { type: message.type, messageId: message.id } : undefined;
      await bury(session, {
        ...(known ?? { type: null, messageId: null }),
        id: known?.messageId ?? (await digestOf(message)),
        consumer,
        event: storable(message),
        error: error.slice(0, 500),
        now,
      });
    },
    list: async (session) => (await list(session, {})).map(letterOf),
    find: async (session, id) => (await find(session, { id })).map(letterOf)[0],
    redriven: async (session, id, now) => (await redriven(session, { id, now })).length === 1,
    refused: async (session, id, error) => void (await refused(session, { id, error: error.slice(0, 500) })),
  };
}

/** What became of an attempt to redrive a dead letter. */
export type Redriven =
  | { kind: "delivered" }
  | { kind: "unknown" }
  /** It was delivered before. */
  | { kind: "done"; at: Date }
  /** Its consumer could not handle it this time either. */
  | { kind: "refused"; error: string };

/**
 * Hands a dead letter to its consumer once more. `handle` has no effect on an event that was handled before, so that
 * one of several attempts at once, or one after a crash, has the effect.
 */
export async function redrive(
  db: Db,
  letters: DeadLetters,
  id: string,
  handle: (letter: DeadLetter) => Promise<void>,
  clock: () => Date,
): Promise<Redriven> {
  const letter = await letters.find(db, id);
  if (!letter) return { kind: "unknown" };
  if (letter.redrivenAt) return { kind: "done", at: letter.redrivenAt };
  try {
    await handle(letter);
  } catch (cause) {
    const error = cause instanceof Error ? cause.message : String(cause);
    await letters.refused(db, id, error);
    return { kind: "refused", error };
  }
  const now = clock();
  if (await letters.redriven(db, id, now)) return { kind: "delivered" };
  return { kind: "done", at: (await letters.find(db, id))?.redrivenAt ?? now };
}
