import type { LogLevel } from "../log";

/** What operators may change while the mall runs: how its text is read, and what it is for. */
interface Setting<T> {
  description: string;
  /** What the text has to be, for those who got it wrong. */
  form: string;
  /** The value of a text; undefined when it is none. */
  read(text: string): T | undefined;
}

const flag = (description: string): Setting<boolean> => ({
  description,
  form: "true or false",
  read: (text) => (text === "true" ? true : text === "false" ? false : undefined),
});

const oneOf = <T extends string>(values: readonly T[], description: string): Setting<T> => ({
  description,
  form: `one of ${values.join(", ")}`,
  read: (text) => values.find((value) => value === text),
});

const whole = (least: number, most: number, description: string): Setting<number> => ({
  description,
  form: `a whole number from ${least} to ${most}`,
  read: (text) =>
    /^(0|[1-9][0-9]{0,8})$/.test(text) && Number(text) >= least && Number(text) <= most
      ? Number(text)
      : undefined,
});

const logLevels: readonly LogLevel[] = ["debug", "info", "warn", "error", "silent"];

/**
 * Every setting by its key. One that nobody has set is what the environment, or the code, says. Each is read where it
 * acts, at each use, so that a change needs no restart.
 */
export const settings = {
  "log.level": oneOf(logLevels, "Least level that is logged, by every service. Default: LOG_LEVEL."),
  "request.timeout-ms": whole(
    100,
    60_000,
    "Milliseconds a request may take whose client names no deadline. Default: 30000.",
  ),
  "registration.open": flag("Whether new accounts can be made. Default: true."),
  "checkout.open": flag(
    "Whether orders can be placed and paid; those that have begun are finished. Default: true.",
  ),
  "checkout.concurrency": whole(
    1,
    10_000,
    "Purchases that one process of checkout works on at once. Default: CHECKOUT_CONCURRENCY.",
  ),
  "checkout.unpaid-order-seconds": whole(
    60,
    604_800,
    "Seconds until a new order that is not paid is cancelled. Default: UNPAID_ORDER_TTL_SECONDS.",
  ),
  "login.wrong-by-pair": whole(
    1,
    10_000,
    "Wrong passwords for an account from one address in 15 minutes. Default: 10.",
  ),
  "login.wrong-by-account": whole(
    1,
    10_000,
    "Wrong passwords for an account from all addresses in an hour. Default: 100.",
  ),
  "login.wrong-by-address": whole(
    1,
    10_000,
    "Wrong passwords for all accounts from one address in 15 minutes. Default: 100.",
  ),
} satisfies Record<string, Setting<unknown>>;

export type SettingKey = keyof typeof settings;
export type SettingValue<K extends SettingKey> = NonNullable<ReturnType<(typeof settings)[K]["read"]>>;

/** Whether a text is the key of a setting. */
export const isSettingKey = (text: string): text is SettingKey => Object.hasOwn(settings, text);
