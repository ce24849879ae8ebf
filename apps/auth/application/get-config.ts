import { type SettingKey, settings } from "@mall/kernel/settings/settings";
import type { Deps } from "../deps";

/** A setting as operators see it. */
export interface ShownSetting {
  key: SettingKey;
  /** Undefined while nobody has set it. */
  value: string | undefined;
  description: string;
  form: string;
}

/** Every setting there is, by key, and the revision in force. */
export const getConfig =
  ({ config }: Pick<Deps, "config">) =>
  async (): Promise<{ revision: number; settings: ShownSetting[] }> => {
    const newest = await config.newest();
    const keys = Object.keys(settings).sort() as SettingKey[];
    return {
      revision: newest?.revision ?? 0,
      settings: keys.map((key) => ({
        ...{ key, value: newest?.values[key] },
        ...{ description: settings[key].description, form: settings[key].form },
      })),
    };
  };
