import { sweepSchedule } from "@mall/kernel/bus/qstash";
import { qstashSettings } from "@mall/kernel/bus/settings";
import { baseEnv, type EnvSource, parseEnv } from "@mall/kernel/env";
import { UsageError } from "./usage";

type Print = (line: string) => void;

/** The commands about QStash's schedule that wakes a mall which sleeps. They need QStash and no database. */
export async function schedulesCommand(
  [verb, cron = "* * * * *"]: string[],
  env: EnvSource,
  print: Print,
): Promise<number> {
  const settings = qstashSettings(parseEnv(baseEnv, env));
  if (!settings) throw new UsageError("schedules are QStash's: BUS must be qstash");
  const schedule = sweepSchedule(settings);
  if (verb === "set") await schedule.set(cron);
  else if (verb === "remove") await schedule.remove();
  else if (verb !== "show") throw new UsageError("schedules knows set, show and remove");
  const known = await schedule.get();
  print(known ? `${known.cron} → ${known.destination}${known.isPaused ? ", paused" : ""}` : "none");
  return 0;
}
