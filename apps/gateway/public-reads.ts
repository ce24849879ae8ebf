import { createHash } from "node:crypto";
import { soon } from "@mall/kernel/concurrency";
import { timeoutMsOf } from "@mall/kernel/rpc/deadline";
import { requestIdOf } from "@mall/kernel/rpc/request-id";
import { answerStore, type Kept } from "./answer-store";
import { flights } from "./flights";

/** Asks the service. */
export type Ask = (request: Request) => Promise<Response>;

/** Goes on with work after the answer. */
export type Background = (work: Promise<unknown>) => void;

/** Answers public reads: from what is known, together with others that ask the same, or from the service. */
export type PublicRead = (request: Request, ask: Ask, background: Background) => Promise<Response>;

export interface PublicReadOptions {
  /** Milliseconds an answer may be old while its service is well; 0 keeps nothing. */
  cacheMs: number;
  /** Whether requests may wait for each other's work. */
  mayJoin: boolean;
  nowMs?(): number;
}

/** How long an old answer serves while the service does not answer, and how long that is waited for before. */
export const degraded = { staleSecondsMax: 600, waitMs: 500 };

/** Time that a service has for a read that nobody gave a deadline. */
const askTimeoutMs = 5_000;

const weakEtag = (bytes: Uint8Array): string =>
  `W/"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;

/** Whether If-None-Match names an ETag, compared weakly (RFC 9110, 13.1.2). */
function hasSame(header: string | null, etag: string): boolean {
  const opaque = (text: string) => text.trim().replace(/^W\//, "");
  return header?.trim() === "*" || (header ?? "").split(",").some((one) => opaque(one) === opaque(etag));
}

async function kept(response: Response, nowMs: number): Promise<Kept> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  if (response.status === 200) headers.set("etag", weakEtag(bytes));
  return { status: response.status, headers, bytes, atMs: nowMs };
}

/** The one request to the service on behalf of all that ask the same. */
function joint(request: Request, signal: AbortSignal): Request {
  const headers = new Headers({ "connect-timeout-ms": String(askTimeoutMs) });
  for (const name of ["x-request-id", "traceparent", "connect-protocol-version", "content-type", "accept"]) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  return new Request(request.url, { headers, signal });
}

/** An answer to one client, with 304 where it has it already. */
function shown(request: Request, answer: Kept, own: Record<string, string>): Response {
  const { status, bytes } = answer;
  if (status !== 200) return new Response(bytes, { status, headers: answer.headers });
  const headers = new Headers(answer.headers);
  headers.set("x-request-id", requestIdOf(request.headers));
  for (const [name, value] of Object.entries(own)) headers.set(name, value);
  if (!hasSame(request.headers.get("if-none-match"), headers.get("etag")!))
    return new Response(bytes, { headers });
  headers.delete("content-type");
  return new Response(null, { status: 304, headers });
}

/**
 * Reads of public data, which are the same for everybody without a token: kept for `cacheMs`, renewed behind the back of
 * who reads them in the second half of that, and served for ten minutes more, marked, while the service does not answer.
 */
export function publicReads({ cacheMs, mayJoin, nowMs = Date.now }: PublicReadOptions): PublicRead {
  const store = answerStore();
  const flying = flights<Kept>(mayJoin);
  const seconds = Math.ceil(cacheMs / 1000);
  const cacheControl =
    cacheMs > 0
      ? `public, max-age=${seconds}, stale-while-revalidate=${seconds}, stale-if-error=${degraded.staleSecondsMax}`
      : "public, no-cache";
  const forAll = { "cache-control": cacheControl, vary: "Authorization" };

  /** Asks the service and keeps a good answer; one that says that there is nothing ends what was kept. */
  async function asked(key: string, request: Request, ask: Ask): Promise<Kept> {
    const answer = await kept(await ask(request), nowMs());
    if (cacheMs > 0 && answer.status === 200) store.put(key, answer);
    else if (answer.status < 500) store.drop(key);
    return answer;
  }

  /** What Age and Cache-Status (RFC 9211) tell of an answer that was kept. */
  function told({ atMs }: Kept, detail = "") {
    const ttl = Math.floor((atMs + cacheMs - nowMs()) / 1000);
    return {
      ...forAll,
      age: String(Math.max(0, Math.floor((nowMs() - atMs) / 1000))),
      "cache-status": `edgemall; hit; ttl=${ttl}${detail}`,
    };
  }

  return async (request, ask, background) => {
    if (request.headers.has("authorization"))
      return shown(request, await kept(await ask(request), nowMs()), {
        "cache-control": "private, no-cache",
      });
    const { pathname, search } = new URL(request.url);
    const key = pathname + search;
    const together = () =>
      flying.join(key, request.signal, (signal) => asked(key, joint(request, signal), ask));
    const hasDeadline = timeoutMsOf(request.headers) !== undefined;
    const answered = () => (hasDeadline ? asked(key, request, ask) : together());
    const old = store.get(key);
    const ageMs = old ? nowMs() - old.atMs : 0;
    if (!old || ageMs > degraded.staleSecondsMax * 1000) return shown(request, await answered(), forAll);
    if (ageMs < cacheMs) {
      if (ageMs >= cacheMs / 2) background(together().catch(() => undefined));
      return shown(request, old, told(old));
    }
    const waitMs = Math.max(0, degraded.waitMs - flying.ageMs(key));
    const answer = answered();
    background(answer.catch(() => undefined));
    const fresh = await soon(waitMs, answer);
    if (fresh && fresh.status < 500) return shown(request, fresh, forAll);
    return shown(request, old, told(old, "; detail=stale-if-error"));
  };
}
