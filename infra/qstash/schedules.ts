import type { Database } from "bun:sqlite";
import { randomUUID } from "node:crypto";
import { Cron } from "croner";
import { Refused } from "./publish";
import type { Draft } from "./store";

/** A message that goes out again and again. */
export interface Schedule {
  id: string;
  /** Five fields, in UTC. */
  cron: string;
  draft: Draft;
  createdMs: number;
  nextMs: number;
  isPaused: boolean;
}

/** When a schedule is due next. Throws Refused when it never is. */
function nextMsOf(cron: string, afterMs: number): number {
  try {
    const next = new Cron(cron, { mode: "5-part", timezone: "UTC" }).nextRun(new Date(afterMs));
    if (next) return next.getTime();
  } catch {
    // said below
  }
  throw new Refused(400, `invalid cron: ${cron}`);
}

interface Row extends Omit<Schedule, "draft" | "isPaused"> {
  draft: string;
  isPaused: number;
}
const scheduleOf = ({ draft, isPaused, ...row }: Row): Schedule => ({
  ...row,
  draft: JSON.parse(draft) as Draft,
  isPaused: isPaused !== 0,
});

/** The schedules of a stand-in. */
export function scheduleStore(db: Database) {
  db.run(`create table if not exists schedules (id text primary key, cron text not null, draft text not null,
    createdMs integer not null, nextMs integer not null, isPaused integer not null default 0)`);
  const find = (where = "true", ...values: (string | number)[]): Schedule[] =>
    db
      .query<Row, (string | number)[]>(`select * from schedules where ${where} order by createdMs, id`)
      .all(...values)
      .map(scheduleOf);
  const move = (id: string, nextMs: number) =>
    db.run("update schedules set nextMs = ? where id = ?", [nextMs, id]);
  return {
    /** Makes a schedule, or changes the one with this id. Throws Refused. */
    schedule(
      draft: Draft,
      cron: string,
      nowMs: number,
      id = `scd_${randomUUID().replaceAll("-", "")}`,
    ): string {
      db.run(
        `insert into schedules (id, cron, draft, createdMs, nextMs) values (?, ?, ?, ?, ?)
          on conflict (id) do update set cron = excluded.cron, draft = excluded.draft, nextMs = excluded.nextMs`,
        [id, cron, JSON.stringify(draft), nowMs, nextMsOf(cron, nowMs)],
      );
      return id;
    },
    schedules: (): Schedule[] => find(),
    scheduled: (id: string): Schedule | undefined => find("id = ?", id)[0],
    unschedule: (id: string): boolean => db.run("delete from schedules where id = ?", [id]).changes === 1,
    pause: (id: string, isPaused: boolean): boolean =>
      db.run("update schedules set isPaused = ? where id = ?", [isPaused ? 1 : 0, id]).changes === 1,
    /** Makes it due now, once. */
    hasten: (id: string, nowMs: number): boolean => move(id, nowMs).changes === 1,
    /** Takes what is due, once each however often it was missed; it is due again at its next time. */
    takeDue: db.transaction((nowMs: number): Schedule[] => {
      const due = find("isPaused = 0 and nextMs <= ?", nowMs);
      for (const { id, cron } of due) move(id, nextMsOf(cron, nowMs));
      return due;
    }),
    nextScheduledMs: (): number | undefined =>
      db.query<{ ms: number | null }, []>("select min(nextMs) as ms from schedules where isPaused = 0").get()
        ?.ms ?? undefined,
  };
}
