import type { EnvSource } from "@mall/kernel/env";
import { root } from "./repository";

/** Keeps wrangler quiet: no telemetry, no question, no look-up of request metadata. */
const quiet = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  WRANGLER_HIDE_BANNER: "true",
  DO_NOT_TRACK: "1",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  CI: "1",
};

/** How wrangler hangs on this process. */
interface Attachment {
  stderr: "inherit" | "pipe";
  /** It leads a process group of its own, by which endWrangler reaches everything it started. */
  detached: boolean;
}

/** Starts wrangler on the repository's own Node, since it needs a newer one than a machine may have. */
export function startWrangler(args: readonly string[], env: EnvSource, { stderr, detached }: Attachment) {
  return Bun.spawn([`${root}/node_modules/.bin/wrangler`, ...args], {
    cwd: root,
    env: { ...env, ...quiet, PATH: `${root}/node_modules/.bin:${process.env.PATH}` },
    stdin: "ignore",
    stdout: "pipe",
    stderr,
    detached,
  });
}

/** Ends a detached wrangler and what it started: asks, and after `graceMs` does not ask any more. */
export async function endWrangler(
  wrangler: { pid: number; exited: Promise<number> },
  graceMs = 5_000,
): Promise<void> {
  const signal = (name: "SIGTERM" | "SIGKILL") => {
    try {
      process.kill(-wrangler.pid, name);
    } catch {
      // the whole group is gone
    }
  };
  signal("SIGTERM");
  await Promise.race([wrangler.exited, Bun.sleep(graceMs)]);
  signal("SIGKILL");
  await wrangler.exited;
}
