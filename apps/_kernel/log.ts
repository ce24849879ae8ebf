import { hasManyDigits, holdsCardNumber, maskCardNumbers } from "./card-number";

/** Structured logging: one JSON object a line. Never pass secrets, tokens or personal data. */
export type Log = (
  level: "debug" | "info" | "warn" | "error",
  message: string,
  fields?: Record<string, unknown>,
) => void;

const order = { debug: 10, info: 20, warn: 30, error: 40, silent: 50 } as const;
export type LogLevel = keyof typeof order;

/** Values as a line of JSON has them; a card number that got in somehow does not get out. */
const plain = (value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);

function masked(value: unknown): unknown {
  if (typeof value === "string") return maskCardNumbers(value);
  if (typeof value === "number" || typeof value === "bigint") {
    return holdsCardNumber(String(value)) ? maskCardNumbers(String(value)) : plain(value);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [maskCardNumbers(key), inner]));
}

/** A log that writes JSON lines of at least `level`, which may change, to `write`, without card numbers. */
export function jsonLog(
  service: string,
  level: LogLevel | (() => LogLevel),
  write: (line: string) => void = console.log,
): Log {
  return (at, message, fields) => {
    if (order[at] < order[typeof level === "string" ? level : level()]) return;
    const entry = { time: new Date().toISOString(), level: at, service, message, ...fields };
    const line = JSON.stringify(entry, (_, value) => plain(value));
    write(hasManyDigits(line) ? JSON.stringify(entry, (_, value) => masked(value)) : line);
  };
}

/** What a log may say about something thrown. */
export function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { error: String(error) };
  return {
    error: error.message,
    stack: error.stack,
    ...(error.cause ? { cause: errorFields(error.cause) } : {}),
  };
}
