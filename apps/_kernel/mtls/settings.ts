import { type BaseEnv, incompleteEnv } from "../env";
import type { Log } from "../log";
import type { CallerName } from "../topology";
import type { TlsFiles } from "./credentials";
import { type LiveCredentials, liveCredentials } from "./live";

/** The files that an environment names; undefined when it names none. Throws Error when it names only some. */
export function tlsFilesOf({ TLS_CA, TLS_CERT, TLS_KEY }: BaseEnv): TlsFiles | undefined {
  const files = { TLS_CA, TLS_CERT, TLS_KEY };
  const missing = Object.entries(files).flatMap(([name, path]) => (path === "" ? [name] : []));
  if (missing.length === 3) return undefined;
  if (missing.length > 0)
    throw incompleteEnv(
      missing.map((name) => `${name}: must be set when another TLS_* is, nothing goes in the clear then`),
    );
  return files;
}

/**
 * The credentials of a process among others; undefined when mutual TLS is off. Throws Error with a sentence when the
 * files cannot be used, or are those of another service.
 */
export function ownCredentials(env: BaseEnv, name: CallerName, log: Log): LiveCredentials | undefined {
  const files = tlsFilesOf(env);
  if (!files) return undefined;
  const live = started(files, log);
  if (live.current.name === name) return live;
  live.stop();
  throw incompleteEnv([
    `TLS_CERT: ${files.TLS_CERT} is the certificate of ${live.current.name}, this is ${name}`,
  ]);
}

function started(files: TlsFiles, log: Log): LiveCredentials {
  try {
    return liveCredentials(files, { log, clock: () => new Date() });
  } catch (error) {
    throw incompleteEnv([(error as Error).message]);
  }
}
