import { notFound } from "@mall/kernel/fault";
import { isSettingKey, settings } from "@mall/kernel/settings/settings";
import type { Revision } from "../config/port";
import { type ConfigDeps, changeConfig } from "./change-config";

/**
 * Makes everything what it was as of a revision, 0 being before the first change, by a new revision. Settings that this
 * version cannot read any more stay away. Faults REVISION_NOT_FOUND, OVERLOADED.
 */
export const rollbackConfig =
  (deps: ConfigDeps) =>
  async (to: number): Promise<Revision | undefined> => {
    const target = to === 0 ? { values: {} } : await deps.config.find(to);
    if (!target) throw notFound("REVISION");
    const readable = Object.entries(target.values).filter(
      ([key, text]) => isSettingKey(key) && settings[key].read(text) !== undefined,
    );
    return changeConfig(deps, { action: "RollbackConfig", subject: String(to) }, () =>
      Object.fromEntries(readable),
    );
  };
