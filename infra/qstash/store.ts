import { Database } from "bun:sqlite";
import { randomUUID } from "node:crypto";
import { scheduleStore } from "./schedules";

/** A message on its way or at its end. */
export interface Message {
  /** Order of acceptance. */
  seq: number;
  /** What the receiver sees; a duplicate has its original's. */
  id: string;
  url: string;
  method: string;
  /** Headers that go to the receiver. */
  headers: Record<string, string>;
  body: string;
  createdMs: number;
  dueMs: number;
  retried: number;
  maxRetries: number;
  retryDelay: string | null;
  callback: string | null;
  failureCallback: string | null;
  timeoutMs: number;
  /** message: as published. report: a callback. duplicate: made by chaos. replay: recorded before. */
  kind: "message" | "report" | "duplicate" | "replay";
  state: "pending" | "delivered" | "failed" | "cancelled";
  dlqId: string | null;
  /** Last answer of the receiver. */
  status: number | null;
  answer: string | null;
}

/** What a new message is made of. */
export type Draft = Omit<
  Message,
  "seq" | "id" | "createdMs" | "retried" | "state" | "dlqId" | "status" | "answer"
> & { id?: string };

/** One delivery that was tried. */
export interface Attempt {
  seq: number;
  messageId: string;
  url: string;
  headers: Record<string, string>;
  body: string;
  atMs: number;
  retried: number;
  /** HTTP status of the receiver; 0 when there was no answer. */
  status: number;
}

const schema = `
  create table if not exists messages (seq integer primary key autoincrement, id text not null, url text not null,
    method text not null, headers text not null, body text not null, createdMs integer not null,
    dueMs integer not null, retried integer not null default 0, maxRetries integer not null, retryDelay text,
    callback text, failureCallback text, timeoutMs integer not null, kind text not null,
    state text not null default 'pending', dlqId text, status integer, answer text);
  create index if not exists due on messages (dueMs) where state = 'pending';
  create index if not exists by_id on messages (id);
  create table if not exists duplicates (key text primary key, id text not null, untilMs integer not null);
  create table if not exists attempts (seq integer primary key autoincrement, messageSeq integer not null,
    atMs integer not null, retried integer not null, status integer not null);
  create table if not exists settings (name text primary key, value text not null);
`;

/** What a message is known by among the dead ones. */
export const dlqIdOf = ({ seq }: Message): string => `dlq_${seq}`;

type Row = Omit<Message, "headers"> & { headers: string };
const messageOf = (row: Row): Message => ({ ...row, headers: JSON.parse(row.headers) });

/** How long a deduplication id is remembered. */
const duplicatesMs = 10 * 60 * 1000;

export type Store = ReturnType<typeof openStore>;

/** The messages and schedules of a stand-in in one SQLite file (":memory:" for none): what was accepted survives kill -9. */
export function openStore(file: string) {
  const db = new Database(file, { create: true });
  db.run("pragma journal_mode = wal");
  db.run("pragma synchronous = normal");
  db.run(schema);
  return {
    ...intake(db),
    ...progress(db),
    ...endings(db),
    ...records(db),
    ...scheduleStore(db),
    setting: <T>(name: string): T | undefined => {
      const row = db
        .query<{ value: string }, [string]>("select value from settings where name = ?")
        .get(name);
      return row ? (JSON.parse(row.value) as T) : undefined;
    },
    set: (name: string, value: unknown): void =>
      void db.run("insert or replace into settings values (?, ?)", [name, JSON.stringify(value)]),
    clear: db.transaction(() => {
      // numbers start again too: the seed of chaos goes by them
      for (const table of ["messages", "duplicates", "attempts", "sqlite_sequence"])
        db.run(`delete from ${table}`);
    }),
    close: (): void => db.close(),
  };
}

const find = (db: Database, where: string, ...values: (string | number)[]): Message[] =>
  db
    .query<Row, (string | number)[]>(`select * from messages where ${where}`)
    .all(...values)
    .map(messageOf);

/** Adds a message; `id` is its original's when it is a copy. */
function adder(db: Database) {
  const insert = db.query(`insert into messages (id, url, method, headers, body, createdMs, dueMs, maxRetries,
      retryDelay, callback, failureCallback, timeoutMs, kind)
    values ($id, $url, $method, $headers, $body, $createdMs, $dueMs, $maxRetries, $retryDelay, $callback,
      $failureCallback, $timeoutMs, $kind)`);
  return (draft: Draft, nowMs: number): string => {
    const id = draft.id ?? `msg_${randomUUID().replaceAll("-", "")}`;
    insert.run({
      $id: id,
      $url: draft.url,
      $method: draft.method,
      $headers: JSON.stringify(draft.headers),
      $body: draft.body,
      $createdMs: nowMs,
      $dueMs: draft.dueMs,
      $maxRetries: draft.maxRetries,
      $retryDelay: draft.retryDelay,
      $callback: draft.callback,
      $failureCallback: draft.failureCallback,
      $timeoutMs: draft.timeoutMs,
      $kind: draft.kind,
    });
    return id;
  };
}

/** How messages come in. */
function intake(db: Database) {
  const add = adder(db);
  const remembered = db.query<{ id: string }, [string, number]>(
    "select id from duplicates where key = ? and untilMs > ?",
  );
  return {
    add,
    /** Accepts a message unless one with its key was accepted within 10 minutes. */
    accept: db.transaction((draft: Draft, key: string | undefined, nowMs: number) => {
      const known = key === undefined ? undefined : remembered.get(key, nowMs)?.id;
      if (known) return { messageId: known, deduplicated: true };
      const messageId = add(draft, nowMs);
      if (key !== undefined)
        db.run("insert or replace into duplicates values (?, ?, ?)", [key, messageId, nowMs + duplicatesMs]);
      return { messageId, deduplicated: false };
    }),
  };
}

/** What is to be delivered, and what came of trying. */
function progress(db: Database) {
  return {
    /** Pending messages that are due, without those in hand. */
    due: (nowMs: number, inHand: ReadonlySet<number>, limit: number): Message[] =>
      find(db, "state = 'pending' and dueMs <= ? order by dueMs, seq limit ?", nowMs, limit + inHand.size)
        .filter(({ seq }) => !inHand.has(seq))
        .slice(0, limit),
    /** When the next message is due that is not in hand. */
    nextDueMs: (nowMs: number): number | undefined =>
      db
        .query<{ ms: number | null }, [number]>(
          "select min(dueMs) as ms from messages where state = 'pending' and dueMs > ?",
        )
        .get(nowMs)?.ms ?? undefined,
    pending: (id: string): Message | undefined => find(db, "id = ? and state = 'pending' limit 1", id)[0],
    /** Notes an attempt that was answered, or not (status 0). */
    attempted: (seq: number, retried: number, status: number, atMs: number): void =>
      void db.run("insert into attempts (messageSeq, atMs, retried, status) values (?, ?, ?, ?)", [
        seq,
        atMs,
        retried,
        status,
      ]),
    retry: (seq: number, dueMs: number, status: number, answer: string): void =>
      void db.run(
        `update messages set retried = retried + 1, dueMs = ?, status = ?, answer = ?
          where seq = ? and state = 'pending'`,
        [dueMs, status, answer, seq],
      ),
  };
}

/** How messages end. */
function endings(db: Database) {
  const add = adder(db);
  const each = (ids: readonly string[], text: string): number =>
    ids.reduce((sum, id) => sum + db.run(text, [id]).changes, 0);
  return {
    /** Ends a message that is still pending, with the reports that follow from it. False when it was cancelled. */
    end: db.transaction(
      (message: Message, state: "delivered" | "failed", status: number, answer: string, reports: Draft[]) => {
        const { changes } = db.run(
          "update messages set state = ?, status = ?, answer = ?, dlqId = ? where seq = ? and state = 'pending'",
          [state, status, answer, state === "failed" ? dlqIdOf(message) : null, message.seq],
        );
        if (changes === 1) for (const report of reports) add(report, Date.now());
        return changes === 1;
      },
    ),
    /** Cancels pending messages, all without ids; returns how many. */
    cancel: (ids: readonly string[] | undefined): number =>
      ids
        ? each(ids, "update messages set state = 'cancelled' where id = ? and state = 'pending'")
        : db.run("update messages set state = 'cancelled' where state = 'pending'").changes,
    dead: (): Message[] => find(db, "dlqId is not null order by seq"),
    /** Forgets dead messages, all without ids; returns how many. */
    deleteDead: (ids: readonly string[] | undefined): number =>
      ids
        ? each(ids, "update messages set dlqId = null where dlqId = ?")
        : db.run("update messages set dlqId = null where dlqId is not null").changes,
  };
}

/** What has happened. */
function records(db: Database) {
  return {
    /** Whether a message that was accepted later has been tried already. */
    isOvertaken: (seq: number): boolean =>
      db.query("select 1 from attempts where messageSeq > ? limit 1").get(seq) !== null,
    /** Everything that was published and has been tried, once each, in order of acceptance. */
    recorded: (): Message[] =>
      find(db, "kind = 'message' and seq in (select messageSeq from attempts) order by seq"),
    attempts: (after: number): Attempt[] =>
      db
        .query<Omit<Attempt, "headers"> & { headers: string }, [number]>(
          `select a.seq, m.id as messageId, m.url, m.headers, m.body, a.atMs, a.retried, a.status
            from attempts a join messages m on m.seq = a.messageSeq where a.seq > ? order by a.seq limit 1000`,
        )
        .all(after)
        .map((row) => ({ ...row, headers: JSON.parse(row.headers) })),
    /** How many messages are in each state. */
    counts: (): Record<string, number> =>
      Object.fromEntries(
        db
          .query<{ state: string; n: number }, []>("select state, count(*) as n from messages group by state")
          .all()
          .map(({ state, n }) => [state, n]),
      ),
  };
}
