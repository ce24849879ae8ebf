import { invalid } from "@mall/kernel/fault";
import { type ConfigDeps, changeConfig, knownSetting } from "./change-config";

/** Sets one setting. Faults SETTING_NOT_FOUND, VALIDATION, OVERLOADED. */
export const setConfig =
  (deps: ConfigDeps) =>
  async (key: string, value: string): Promise<void> => {
    const setting = knownSetting(key);
    if (setting.read(value) === undefined)
      throw invalid([{ pointer: "#/value", detail: `must be ${setting.form}` }]);
    await changeConfig(deps, { action: "SetConfig", subject: key }, (values) => ({
      ...values,
      [key]: value,
    }));
  };
