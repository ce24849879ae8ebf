import { isSettingKey, type SettingKey, type SettingValue, settings } from "./settings";

/** The settings as one instance knows them. */
export interface Settings {
  /** What operators have set; undefined when they have not, or set it to what this version cannot read. */
  get<K extends SettingKey>(key: K): SettingValue<K> | undefined;
}

/** Settings that news are merged into. */
export interface LiveSettings extends Settings {
  /** Revision that is known. */
  readonly revision: number | undefined;
  /** Takes over what has been set as of a revision; an older one than the known one changes nothing. */
  apply(revision: number, values: Readonly<Record<string, string>>): void;
}

/** Settings of which nothing is known yet: everything is as the environment and the code say. */
export function liveSettings(): LiveSettings {
  let known: number | undefined;
  let current: ReadonlyMap<string, unknown> = new Map();
  return {
    get: <K extends SettingKey>(key: K) => current.get(key) as SettingValue<K> | undefined,
    get revision() {
      return known;
    },
    apply(revision, values) {
      if (known !== undefined && revision <= known) return;
      known = revision;
      current = new Map(
        Object.entries(values).map(([key, text]) => [
          key,
          isSettingKey(key) ? settings[key].read(text) : undefined,
        ]),
      );
    },
  };
}
