import { type ConfigDeps, changeConfig, knownSetting } from "./change-config";

/** Makes one setting what it was before anybody set it. Faults SETTING_NOT_FOUND, OVERLOADED. */
export const resetConfig =
  (deps: ConfigDeps) =>
  async (key: string): Promise<void> => {
    knownSetting(key);
    await changeConfig(deps, { action: "ResetConfig", subject: key }, ({ [key]: _, ...values }) => values);
  };
