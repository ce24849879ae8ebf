import { createHash } from "node:crypto";
import { parseRetryDelay } from "./retry-delay";
import type { Draft } from "./store";

/** What is wrong with a request, as QStash would say it. */
export class Refused extends Error {
  constructor(
    readonly status: 400 | 404 | 413,
    message: string,
  ) {
    super(message);
  }
}

const bodyBytesMax = 1024 * 1024;
const delayMsMax = 7 * 24 * 3600 * 1000;
const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of a duration such as "90s" or "1h30m". */
export function durationMs(text: string): number {
  if (!/^(?:\d+(?:ms|s|m|h|d))+$/.test(text)) throw new Refused(400, `invalid duration: ${text}`);
  return [...text.matchAll(/(\d+)(ms|[smhd])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * units[unit!]!,
    0,
  );
}

function addressOf(text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text))
    throw new Refused(400, `invalid destination url: ${text}`);
  return text;
}

/** What a publish request asks for, and what it is deduplicated by. */
export interface Wanted {
  draft: Draft;
  key?: string;
}

/**
 * Reads a publish request: its destination, its `Upstash-…` headers and its body. `retriesMax` is what the account's
 * plan allows. Throws Refused.
 */
export function wantedOf(
  destination: string,
  headers: Headers,
  body: string,
  retriesMax: number,
  nowMs: number,
): Wanted {
  if (Buffer.byteLength(body) > bodyBytesMax) throw new Refused(413, "message is larger than 1 MB");
  const header = (name: string) => headers.get(`upstash-${name}`) ?? undefined;
  const address = (name: string) => (header(name) === undefined ? null : addressOf(header(name)!));
  const url = addressOf(destination);
  const retries = Number(header("retries") ?? retriesMax);
  if (!Number.isInteger(retries) || retries < 0 || retries > retriesMax)
    throw new Refused(400, `retries must be from 0 to ${retriesMax}`);
  const draft: Draft = {
    url,
    method: header("method") ?? "POST",
    headers: forwarded(headers),
    body,
    dueMs: dueMsOf(header("delay"), header("not-before"), nowMs),
    maxRetries: retries,
    retryDelay: retryDelayOf(header("retry-delay")),
    callback: address("callback"),
    failureCallback: address("failure-callback"),
    timeoutMs: durationMs(header("timeout") ?? "15m"),
    kind: "message",
  };
  return { draft, key: keyOf(header("deduplication-id"), header("content-based-deduplication"), url, body) };
}

function forwarded(headers: Headers): Record<string, string> {
  const prefix = "upstash-forward-";
  const own = [...headers].flatMap(([name, value]) =>
    name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
  );
  const type = headers.get("content-type");
  return Object.fromEntries(type ? [["content-type", type], ...own] : own);
}

function dueMsOf(delay: string | undefined, notBefore: string | undefined, nowMs: number): number {
  const dueMs = notBefore === undefined ? nowMs + durationMs(delay ?? "0s") : Number(notBefore) * 1000;
  if (!(dueMs <= nowMs + delayMsMax)) throw new Refused(400, "a message waits at most 7 days");
  return Math.max(dueMs, nowMs);
}

function retryDelayOf(expression: string | undefined): string | null {
  try {
    if (expression !== undefined) parseRetryDelay(expression);
  } catch (error) {
    throw new Refused(400, (error as Error).message);
  }
  return expression ?? null;
}

function keyOf(id: string | undefined, byContent: string | undefined, url: string, body: string) {
  if (id !== undefined) return `id:${id}`;
  if (byContent !== "true") return undefined;
  return `content:${createHash("sha256").update(`${url}\n${body}`).digest("hex")}`;
}
