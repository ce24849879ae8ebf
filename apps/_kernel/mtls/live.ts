import { statSync } from "node:fs";
import { errorFields, type Log } from "../log";
import { type Credentials, readCredentials, type TlsFiles } from "./credentials";

/** What files say, and say again when they change. */
export interface Live<T> {
  readonly current: T;
  /** Calls back after each change. */
  onChange(listener: () => void): void;
  stop(): void;
}

export type LiveCredentials = Live<Credentials>;

interface Options {
  log: Log;
  clock: () => Date;
  /** Milliseconds between two looks at the files. */
  everyMs?: number;
}

const everyMsDefault = 1_000;

/** Changes when one of the files does, also when another file has taken its place. */
function stateOf(paths: readonly string[]): string {
  return paths
    .map((path) => {
      const found = statSync(path, { throwIfNoEntry: false });
      return found ? `${found.ino} ${found.mtimeMs} ${found.ctimeMs} ${found.size}` : "none";
    })
    .join("|");
}

/** A certificate and what belongs to it. */
interface Certified {
  readonly validFrom: Date;
  readonly validTo: Date;
  /** The same for the same files. */
  readonly digest: string;
}

/**
 * Reads a certificate, and again whenever its files change: asked every second, because notices of the file system do
 * not come on every mount. Files that cannot be used leave what was before, and are said once; that of a change which is
 * only half made is over by the next look. Throws what `read` throws when they cannot be used at first.
 */
export function liveFiles<T extends Certified>(
  paths: readonly string[],
  read: () => T,
  { log, clock, everyMs = everyMsDefault }: Options,
): Live<T> {
  let seen = stateOf(paths);
  let current = read();
  let broken: { state: string; looks: number } | undefined;
  let hasWarned = false;
  const listeners: (() => void)[] = [];

  function renew(state: string): void {
    try {
      const next = read();
      [seen, broken] = [state, undefined];
      if (next.digest === current.digest) return;
      current = next;
      hasWarned = false;
      log("info", "certificates changed", { endsAt: next.validTo });
      for (const listener of listeners) listener();
    } catch (error) {
      broken = { state, looks: broken?.state === state ? broken.looks + 1 : 1 };
      if (broken.looks === 2)
        log("error", "certificates cannot be used, those before stay", errorFields(error));
    }
  }

  function warnInTime(): void {
    const leftMs = current.validTo.getTime() - clock().getTime();
    const wholeMs = current.validTo.getTime() - current.validFrom.getTime();
    if (hasWarned || leftMs > wholeMs / 4) return;
    hasWarned = true;
    log("warn", "the certificate of this process ends soon", { endsAt: current.validTo });
  }

  const timer = setInterval(() => {
    // before reading: what is written while we read counts as another change
    const state = stateOf(paths);
    if (state !== seen) renew(state);
    warnInTime();
  }, everyMs);
  timer.unref();
  return {
    get current() {
      return current;
    },
    onChange: (listener) => void listeners.push(listener),
    stop: () => clearInterval(timer),
  };
}

/** The credentials of a process, as `readCredentials` reads them. */
export const liveCredentials = (files: TlsFiles, options: Options): LiveCredentials =>
  liveFiles(
    [files.TLS_CA, files.TLS_CERT, files.TLS_KEY],
    () => readCredentials(files, options.clock()),
    options,
  );
