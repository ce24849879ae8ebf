import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";

/** What survives the process: lines that are written before anybody hears of them. */
export interface Journal {
  /** Lines of earlier processes, oldest first. */
  readonly earlier: readonly unknown[];
  append(line: unknown): void;
  /** Forgets everything that was written. */
  clear(): void;
  close(): void;
}

/** Keeps nothing. */
export const memoryJournal = (): Journal => ({ earlier: [], append() {}, clear() {}, close() {} });

/** Bytes of the whole lines of a file, and their values: a process that was killed may have left half a line. */
function wholeLines(path: string): { bytes: number; values: unknown[] } {
  if (!existsSync(path)) return { bytes: 0, values: [] };
  const content = readFileSync(path);
  const bytes = content.lastIndexOf("\n") + 1;
  const lines = content.subarray(0, bytes).toString().split("\n").filter(Boolean);
  return { bytes, values: lines.map((line) => JSON.parse(line) as unknown) };
}

/** JSON lines in a file. What was appended survives the death of the process, not that of the machine. */
export function fileJournal(path: string): Journal {
  const { bytes, values } = wholeLines(path);
  const file = openSync(path, "a", 0o600);
  ftruncateSync(file, bytes);
  let isOpen = true;
  return {
    earlier: values,
    append(line) {
      // the number of a closed file may be another one's by now
      if (!isOpen) throw new Error("the books are closed");
      const text = Buffer.from(`${JSON.stringify(line)}\n`);
      for (let at = 0; at < text.length; ) at += writeSync(file, text, at);
    },
    clear: () => ftruncateSync(file, 0),
    close() {
      isOpen = false;
      closeSync(file);
    },
  };
}
