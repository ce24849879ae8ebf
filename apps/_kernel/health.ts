import { sql } from "drizzle-orm";
import type { Kernel } from "./app";
import { within } from "./concurrency";
import type { Readiness } from "./http";
import type { AccessTokenVerifier } from "./identity/access-token";
import { errorFields } from "./log";
import type { PolicySource } from "./policy/source";

/** What a service must have heard of auth before it can tell who may do what. */
export interface Identity {
  policy: PolicySource;
  hasKeys: AccessTokenVerifier["hasKeys"];
}

/** Most milliseconds that one question may take: a probe is worth nothing when it hangs itself. */
const checkMsMax = 2_000;

/** State of the database: it answers, is migrated, and is sealed with our master key. */
async function databaseChecks({ name, db, dataKeys, log }: Kernel, migrations: number) {
  try {
    const rows = await within(
      checkMsMax,
      "the database",
      db.orm.execute<{ n: number }>(
        sql`select count(*)::int as n from migrations.${sql.identifier(name)}`,
      ) as Promise<Iterable<{ n: number }>>,
    );
    const [row] = [...rows];
    const pending = migrations - Number(row!.n);
    if (pending > 0) return { database: "ok", migrations: `${pending} pending` };
    const hasKey = await within(checkMsMax, "the data keys", dataKeys.verify(db)).catch(() => false);
    return { database: "ok", migrations: "ok", masterKey: hasKey ? "ok" : "wrong" };
  } catch (error) {
    log("warn", "not ready", errorFields(error));
    return { database: "unavailable" };
  }
}

/** Policy and public keys, once known, stay known: a service goes on without auth, but does not begin without it. */
async function identityChecks({ policy, hasKeys }: Identity) {
  const [known, keys] = await Promise.all([policy(), hasKeys()]);
  return { policy: known ? "ok" : "unavailable", publicKeys: keys ? "ok" : "unavailable" };
}

/** Whether a service can serve, and what it looked at. `identity` is what it needs of auth; auth itself needs nothing. */
export async function readiness(kernel: Kernel, migrations: number, identity?: Identity): Promise<Readiness> {
  const [database, known] = await Promise.all([
    databaseChecks(kernel, migrations),
    identity ? identityChecks(identity) : {},
  ]);
  const checks = { ...database, ...known };
  return { ready: Object.values(checks).every((state) => state === "ok"), checks };
}
