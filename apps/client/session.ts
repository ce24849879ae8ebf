import { del, get, set } from "idb-keyval";
import { clientFault, MallError } from "./fault";
import { faultOfResponse } from "./problem";

/** Tokens as Register, Login and RefreshToken answer them. */
export interface NewTokens {
  accessToken: string;
  refreshToken: string;
  /** Seconds the access token is valid. */
  expiresIn: number;
}

/** What is kept of them. */
export interface KeptTokens {
  accessToken: string;
  refreshToken: string;
  expiresAtMs: number;
}

/** Where the tokens of one person in one browser are. What was saved is what every tab loads from then on. */
export interface TokenStore {
  load(): Promise<KeptTokens | undefined>;
  save(tokens: KeptTokens | undefined): Promise<void>;
}

/** Keeps tokens until the page is closed. */
export function memoryStore(): TokenStore {
  let kept: KeptTokens | undefined;
  return {
    load: async () => kept,
    async save(tokens) {
      kept = tokens;
    },
  };
}

/**
 * Keeps tokens in IndexedDB, for all tabs and the next visit. Scripts of the page's origin can read them: use it on
 * pages whose Content-Security-Policy lets only your own scripts run.
 */
export const browserStore = (name = "mall-session"): TokenStore => ({
  // localStorage would not do: a tab may see what another one wrote only after it got the lock
  load: () => get(name),
  save: (tokens) => (tokens ? set(name, tokens) : del(name)),
});

/** Runs work while nobody else who uses the same tokens does. */
export type Lock = <T>(work: () => Promise<T>) => Promise<T>;

/** Excludes all tabs of the browser where it has Web Locks (secure contexts), else only the callers on this page. */
export function tabLock(name = "mall-session"): Lock {
  const { locks } = globalThis.navigator ?? {};
  if (locks) return (work) => locks.request(name, work);
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
}

export interface SessionOptions {
  /** Origin of the mall's gateway. */
  url: string;
  store?: TokenStore;
  lock?: Lock;
  /** Called when the mall ended the session: sign in again. */
  onEnd?(): void;
  fetch?: typeof globalThis.fetch;
  nowMs?(): number;
}

/** Who is signed in. */
export interface Session {
  /** Whether somebody is signed in, as far as this browser knows. */
  isSignedIn(): Promise<boolean>;
  /** Takes the `tokens` of an answer. */
  signIn(tokens: NewTokens): Promise<void>;
  /** Ends the session and forgets its tokens, these even when the mall cannot be reached. */
  signOut(): Promise<void>;
  /**
   * The access token, renewed when it is about to expire; undefined when nobody is signed in. Throws NO_ANSWER when it
   * has expired and the mall cannot be reached.
   */
  token(): Promise<string | undefined>;
  /** Another access token after this one was refused; undefined when the session has ended. Throws as `token` does. */
  renew(refused: string): Promise<string | undefined>;
}

/** An access token that is valid for less is renewed before it is used: a request may take as long. */
const leastMs = 30_000;
const timeoutMs = 10_000;

/**
 * A session whose access token is renewed by itself, by one request at a time: calls of one page share it, and other
 * tabs wait for it and take what it brought. The mall ends sessions whose refresh tokens are used twice.
 */
export function createSession(options: SessionOptions): Session {
  const { url, store = memoryStore(), lock = tabLock(), onEnd, nowMs = Date.now } = options;
  const send = options.fetch ?? globalThis.fetch.bind(globalThis);
  let renewing: Promise<string | undefined> | undefined;

  const post = (path: string, headers: Record<string, string>, body: unknown) =>
    send(`${url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });

  const keep = ({ accessToken, refreshToken, expiresIn }: NewTokens) =>
    store.save({ accessToken, refreshToken, expiresAtMs: nowMs() + expiresIn * 1000 });

  /** New tokens for a refresh token; undefined when the mall does not know it. */
  async function exchanged(refreshToken: string): Promise<NewTokens | undefined> {
    try {
      const answer = await post("/v1/auth/refresh", {}, { refreshToken });
      if (answer.ok) return ((await answer.json()) as { tokens: NewTokens }).tokens;
      if (answer.status === 400 || answer.status === 401) return undefined;
      throw new MallError(await faultOfResponse(answer, answer.headers.get("x-request-id") ?? ""));
    } catch (error) {
      if (error instanceof MallError) throw error;
      throw new MallError(clientFault("NO_ANSWER", "The session could not be renewed."), { cause: error });
    }
  }

  /** Exchanges the refresh token, unless somebody else has done so or signed out since this access token was in use. */
  async function exchange(refused: string): Promise<string | undefined> {
    const before = await store.load();
    if (before?.accessToken !== refused) return before?.accessToken;
    const tokens = await exchanged(before.refreshToken);
    // without Web Locks another tab may have been faster, and signing out waits for nobody
    const now = await store.load();
    if (now?.refreshToken !== before.refreshToken) return now?.accessToken;
    if (tokens) await keep(tokens);
    else {
      await store.save(undefined);
      onEnd?.();
    }
    return tokens?.accessToken;
  }

  function renew(refused: string): Promise<string | undefined> {
    renewing ??= lock(() => exchange(refused)).finally(() => {
      renewing = undefined;
    });
    return renewing;
  }

  async function token(): Promise<string | undefined> {
    const kept = await store.load();
    if (!kept) return undefined;
    const leftMs = kept.expiresAtMs - nowMs();
    if (leftMs > leastMs) return kept.accessToken;
    return renew(kept.accessToken).catch((error) => {
      if (leftMs > 0) return kept.accessToken;
      throw error;
    });
  }

  return {
    isSignedIn: async () => (await store.load()) !== undefined,
    signIn: keep,
    async signOut() {
      const last = await token().catch(() => undefined);
      await store.save(undefined);
      if (last) await post("/v1/auth/logout", { authorization: `Bearer ${last}` }, {}).catch(() => {});
    },
    token,
    renew,
  };
}
