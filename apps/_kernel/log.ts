/** Structured logging: one JSON object a line. Never pass secrets, tokens or personal data. */
export type Log = (
  level: "debug" | "info" | "warn" | "error",
  message: string,
  fields?: Record<string, unknown>,
) => void;

const order = { debug: 10, info: 20, warn: 30, error: 40, silent: 50 } as const;
export type LogLevel = keyof typeof order;

/** A log that writes JSON lines of at least `level` to `write`. */
export function jsonLog(service: string, level: LogLevel, write: (line: string) => void = console.log): Log {
  return (at, message, fields) => {
    if (order[at] < order[level]) return;
    write(JSON.stringify({ time: new Date().toISOString(), level: at, service, message, ...fields }));
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
