/** What is asked of an HTTP/1.1 framer: whether an answer can have a body at all. */
export type Kind = "request" | "response";

/** One whole HTTP/1.1 message as it came. */
export interface Message {
  bytes: Buffer;
  /** Length of the head, with the empty line. */
  headLength: number;
}

/** Splits the bytes of one direction of a connection into messages. */
export interface Framer {
  /** Takes bytes; returns the messages that are whole with them. */
  push(chunk: Buffer): Message[];
  /** Bytes of a message that is not whole yet. */
  readonly pending: number;
}

const endOfHead = Buffer.from("\r\n\r\n");

/** Length of a chunked body from `at`, undefined while it is not whole. */
function chunkedLength(bytes: Buffer, start: number): number | undefined {
  for (let at = start; ; ) {
    const line = bytes.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const size = Number.parseInt(bytes.toString("latin1", at, line), 16);
    if (Number.isNaN(size)) throw new Error("a chunk without a length");
    at = line + 2 + size + 2;
    if (at > bytes.length) return undefined;
    if (size === 0) return at - start;
  }
}

/** Length of the body after a head, undefined while it is not whole. */
function bodyLength(bytes: Buffer, headLength: number): number | undefined {
  const head = bytes.toString("latin1", 0, headLength).toLowerCase();
  if (head.startsWith("http/1.1 204") || head.startsWith("http/1.1 304")) return 0;
  const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1];
  if (length !== undefined) return Number(length);
  return /\r\ntransfer-encoding: *chunked/.test(head) ? chunkedLength(bytes, headLength) : 0;
}

/** A framer for HTTP/1.1 without upgrades, trailers and HEAD, which nobody in the mall uses between services. */
export function framer(): Framer {
  let held: Buffer = Buffer.alloc(0);
  let needed = 0;
  function next(): Message | undefined {
    if (held.length === 0 || held.length < needed) return undefined;
    const headEnd = held.indexOf(endOfHead);
    if (headEnd < 0) return undefined;
    const headLength = headEnd + endOfHead.length;
    const body = bodyLength(held, headLength);
    if (body === undefined) return undefined;
    needed = headLength + body;
    if (held.length < needed) return undefined;
    const bytes = held.subarray(0, needed);
    held = held.subarray(needed);
    needed = 0;
    return { bytes, headLength };
  }
  return {
    push(chunk) {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      const messages: Message[] = [];
      for (let message = next(); message; message = next()) messages.push(message);
      return messages;
    },
    get pending() {
      return held.length;
    },
  };
}
