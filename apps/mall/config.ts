import { timestampDate } from "@bufbuild/protobuf/wkt";
import { ConfigService, type Setting, type SettingChange } from "@mall/gen/mall/auth/v1/config_pb";
import type { Mall } from "./mall";
import { UsageError } from "./usage";

type Print = (line: string) => void;

const configOf = (mall: Mall) => mall.client(ConfigService);

const line = ({ key, value, description, form }: Setting): string =>
  `${key} = ${value ?? "(not set)"}\n    ${description}\n    ${form}`;

async function get(mall: Mall, [key]: string[], print: Print): Promise<number> {
  const { revision, settings } = await configOf(mall).getConfig({});
  const shown = key ? settings.filter((setting) => setting.key === key) : settings;
  if (shown.length === 0) throw new UsageError(`there is no setting ${key}`);
  for (const setting of shown) print(line(setting));
  print(`revision ${revision}`);
  return 0;
}

async function set(mall: Mall, [key, value]: string[], print: Print): Promise<number> {
  if (!key || value === undefined) throw new UsageError("config set needs a setting and a value");
  await configOf(mall).setConfig({ key, value });
  print(`${key} = ${value}`);
  return 0;
}

async function reset(mall: Mall, [key]: string[], print: Print): Promise<number> {
  if (!key) throw new UsageError("config reset needs a setting");
  await configOf(mall).resetConfig({ key });
  print(`${key} is not set`);
  return 0;
}

const changeText = ({ key, value }: SettingChange) => `${key} = ${value ?? "(not set)"}`;

async function history(mall: Mall, print: Print): Promise<number> {
  let pageToken = "";
  do {
    const page = await configOf(mall).listConfigHistory({ pageSize: 100, pageToken });
    for (const { revision, at, author, changes } of page.revisions)
      print(
        `${revision}  ${timestampDate(at!).toISOString()}  ${author}  ${changes.map(changeText).join(", ")}`,
      );
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return 0;
}

async function rollback(mall: Mall, [text]: string[], print: Print): Promise<number> {
  if (!text || !/^[0-9]{1,9}$/.test(text)) throw new UsageError("config rollback needs a revision");
  const { revision } = await configOf(mall).rollbackConfig({ revision: Number(text) });
  print(`as of revision ${text}, by revision ${revision}`);
  return 0;
}

/** The commands about settings. */
export async function configCommand(mall: Mall, [verb, ...args]: string[], print: Print): Promise<number> {
  if (verb === "get") return get(mall, args, print);
  if (verb === "set") return set(mall, args, print);
  if (verb === "reset") return reset(mall, args, print);
  if (verb === "history") return history(mall, print);
  if (verb === "rollback") return rollback(mall, args, print);
  throw new UsageError("config knows get, set, reset, history and rollback");
}
