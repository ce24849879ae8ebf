import type { Head } from "../audit/chain";
import { type AuditEvent, type AuditFilter, listAudit } from "../audit/list";
import { type Audit, auditSeal, createAudit } from "../audit/record";
import { createSealer } from "../audit/sealer";
import { type Verdict, verifyAudit } from "../audit/verify";
import { type Db, openDb } from "../db/client";
import { testDatabase } from "./database";
import { testClock } from "./harness";

const master = "test-master-key-test-master-key-0123456789";

/** The audit log of the auth service on a database of its own. */
export interface AuditWorld {
  url: string;
  /** The service's own connections, under its role. */
  db: Db;
  /** Somebody who owns the database. */
  owner: Db;
  clock: ReturnType<typeof testClock>;
  /** What was logged. */
  lines: string[];
  auditOn(on: Db): Audit;
  seal(on?: Db, masterKey?: string): Promise<void>;
  verify(exported?: Head, masterKey?: string): Promise<Verdict>;
  list(filter?: Partial<AuditFilter>): Promise<AuditEvent[]>;
  /** Writes events with these subjects, each in a transaction of its own and a second later. */
  written(...subjects: string[]): Promise<void>;
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** An empty audit log with its writer, its sealer and whoever reads it. */
export async function auditWorld(): Promise<AuditWorld> {
  const database = await testDatabase();
  const db = openDb({ url: database.url, role: "mall_auth", max: 8 });
  const owner = openDb({ url: database.url, max: 4 });
  const clock = testClock();
  const lines: string[] = [];
  const auditOn = (on: Db) =>
    createAudit({
      ...{ service: "auth", db: on, clock, seal: auditSeal("auth", master) },
      background: () => {},
      log: (_level, message) => void lines.push(message),
    });
  return {
    ...{ url: database.url, db, owner, clock, lines, auditOn },
    seal: (on = db, masterKey = master) => createSealer("auth", masterKey, on)(),
    verify: (exported, masterKey = master) => verifyAudit("auth", masterKey, db, exported),
    list: (filter) => listAudit("auth", master, db, { limit: 1000, ...filter }),
    async written(...subjects) {
      for (const subject of subjects) {
        await db.tx((tx) => auditOn(db).record(tx, { action: "Test", subject }));
        clock.advance(1);
      }
    },
    async clear() {
      lines.length = 0;
      await owner.sql.unsafe(
        "truncate auth.audit_events, auth.audit_pending, auth.audit_seals, auth.audit_heads",
      );
    },
    async stop() {
      await db.close();
      await owner.close();
      await database.drop();
    },
  };
}
