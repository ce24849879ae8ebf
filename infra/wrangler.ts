import { resolve } from "node:path";
import type { EnvSource } from "@mall/kernel/env";

export const root = resolve(import.meta.dir, "..");

/** Keeps wrangler quiet: no telemetry, no question, no look-up of request metadata. */
const quiet = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  WRANGLER_HIDE_BANNER: "true",
  DO_NOT_TRACK: "1",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  CI: "1",
};

/** Starts wrangler on the repository's own Node, since it needs a newer one than a machine may have. */
export function startWrangler(args: readonly string[], env: EnvSource, stderr: "inherit" | "pipe") {
  return Bun.spawn([`${root}/node_modules/.bin/wrangler`, ...args], {
    cwd: root,
    env: { ...env, ...quiet, PATH: `${root}/node_modules/.bin:${process.env.PATH}` },
    stdin: "ignore",
    stdout: "pipe",
    stderr,
  });
}
