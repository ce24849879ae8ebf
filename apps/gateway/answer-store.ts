/** A whole answer of a service. */
export interface Kept {
  status: number;
  headers: Headers;
  bytes: Uint8Array<ArrayBuffer>;
  /** When it came, in epoch milliseconds. */
  atMs: number;
}

const bytesMaxDefault = 16 * 1024 * 1024;
/** What an answer takes beside its bytes. */
const overheadBytes = 1024;

/** The answers that were asked for last, as many as `bytesMax` holds. */
export function answerStore(bytesMax = bytesMaxDefault) {
  const answers = new Map<string, Kept>();
  let bytes = 0;
  const sizeOf = (key: string, answer: Kept) => key.length + answer.bytes.byteLength + overheadBytes;
  const drop = (key: string) => {
    const known = answers.get(key);
    if (known && answers.delete(key)) bytes -= sizeOf(key, known);
  };
  return {
    drop,
    get(key: string): Kept | undefined {
      const known = answers.get(key);
      if (!known) return undefined;
      answers.delete(key);
      answers.set(key, known);
      return known;
    },
    put(key: string, answer: Kept): void {
      drop(key);
      answers.set(key, answer);
      bytes += sizeOf(key, answer);
      while (bytes > bytesMax) drop(answers.keys().next().value!);
    },
  };
}
