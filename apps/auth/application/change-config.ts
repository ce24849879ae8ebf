import { actorOf } from "@mall/kernel/audit/event";
import { fault, notFound } from "@mall/kernel/fault";
import { currentRequest } from "@mall/kernel/rpc/context";
import { isSettingKey, settings } from "@mall/kernel/settings/settings";
import type { Revision, Values } from "../config/port";
import type { Deps } from "../deps";

/** What a change of the configuration needs. */
export type ConfigDeps = Pick<Deps, "db" | "clock" | "audit" | "config">;

/** Changes that come between our look and our writing are looked at again, this often. */
const triesMax = 20;

const busy = () =>
  fault("unavailable", "OVERLOADED", "Too many change the configuration at once; nothing was changed.", {
    retryAfterSeconds: 1,
  });

/** Fault SETTING_NOT_FOUND for a key that no setting has. */
export function knownSetting(key: string) {
  if (!isSettingKey(key)) throw notFound("SETTING");
  return settings[key];
}

/** What differs between two states; null for what is no longer set. */
function differences(from: Values, to: Values): Revision["changes"] {
  const keys = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort();
  return Object.fromEntries(keys.filter((key) => from[key] !== to[key]).map((key) => [key, to[key] ?? null]));
}

/** Adds a revision; one that would change nothing is not added. Returns the newest revision. */
export async function changeConfig(
  deps: ConfigDeps,
  entry: { action: string; subject: string },
  next: (values: Values) => Values,
): Promise<Revision | undefined> {
  const { kind, id } = actorOf("auth", currentRequest.getStore());
  for (let tries = 0; tries < triesMax; tries++) {
    const before = await deps.config.newest();
    const values = next(before?.values ?? {});
    const changes = differences(before?.values ?? {}, values);
    if (Object.keys(changes).length === 0) return before;
    const revision: Revision = {
      ...{ revision: (before?.revision ?? 0) + 1, at: deps.clock(), author: id ?? kind },
      ...{ changes, values },
    };
    if (!(await deps.config.add(revision))) continue;
    const metadata = { revision: revision.revision };
    await deps.db.tx((tx) => deps.audit.record(tx, { ...entry, metadata }));
    return revision;
  }
  throw busy();
}
