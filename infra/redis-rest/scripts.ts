import { createHash } from "node:crypto";
import type { Argument, Command } from "./commands";

const knownMax = 1_000;

const sha1 = (text: string): string => createHash("sha1").update(text).digest("hex");

/** A script as Redis takes it: without `allow-key-locking`, which only Upstash knows and Redis refuses. */
function plain(script: string): string {
  const [, listed, rest] = /^#!lua flags=([^\n]*)(\n[\s\S]*)$/.exec(script) ?? [];
  if (listed === undefined || rest === undefined) return script;
  const flags = listed.split(",").filter((flag) => flag.trim() !== "allow-key-locking");
  return `#!lua${flags.length > 0 ? ` flags=${flags.join(",")}` : ""}${rest}`;
}

/** Rewrites commands with scripts, whose hash clients know as that of the text they sent. */
export interface Scripts {
  /** The command for Redis. */
  forRedis(command: Command): Command;
  /** Redis's answer as the client expects it: a loaded script has the hash of the client's text. */
  forClient(command: Command, reply: unknown): unknown;
}

/**
 * Remembers the hashes of the last 1,000 rewritten scripts. One that is forgotten, as after a restart, is NOSCRIPT to
 * Redis, and clients then send the text again.
 */
export function rewrittenScripts(): Scripts {
  const hashes = new Map<string, string>();
  const rewritten = (argument: Argument): string => {
    const text = String(argument);
    const script = plain(text);
    if (script === text) return text;
    if (hashes.size >= knownMax) hashes.delete(hashes.keys().next().value!);
    hashes.set(sha1(text), sha1(script));
    return script;
  };
  const hashOf = (argument: Argument): Argument => hashes.get(String(argument).toLowerCase()) ?? argument;
  const isLoad = ({ name, args }: Command) => name === "SCRIPT" && String(args[0]).toUpperCase() === "LOAD";

  return {
    forRedis(command) {
      const { name, args } = command;
      const [first, ...rest] = args;
      if (first === undefined) return command;
      if (name === "EVAL" || name === "EVAL_RO") return { name, args: [rewritten(first), ...rest] };
      if (name === "EVALSHA" || name === "EVALSHA_RO") return { name, args: [hashOf(first), ...rest] };
      if (isLoad(command) && rest[0] !== undefined) return { name, args: [first, rewritten(rest[0])] };
      if (name === "SCRIPT" && String(first).toUpperCase() === "EXISTS")
        return { name, args: [first, ...rest.map(hashOf)] };
      return command;
    },
    forClient: (command, reply) =>
      isLoad(command) && command.args[1] !== undefined ? sha1(String(command.args[1])) : reply,
  };
}
