export type Argument = string | Buffer;

/** A command of Redis: its name in capitals, and what follows. */
export interface Command {
  name: string;
  args: Argument[];
}

/** What is wrong with a request, in the words of an answer with status 400. */
export class Refused extends Error {}

/**
 * What needs a connection of its own or would change the one that all clients share: subscriptions, blocking reads,
 * transactions by hand (there is /multi-exec), another database or user.
 */
const refused = new Set([
  ...["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "MONITOR"],
  ...[
    "BLPOP",
    "BRPOP",
    "BLMOVE",
    "BRPOPLPUSH",
    "BLMPOP",
    "BZPOPMIN",
    "BZPOPMAX",
    "BZMPOP",
    "WAIT",
    "WAITAOF",
  ],
  ...["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"],
  ...["SELECT", "AUTH", "HELLO", "RESET", "QUIT", "CLIENT", "READONLY", "READWRITE", "ASKING"],
  ...["SYNC", "PSYNC", "REPLCONF", "SHUTDOWN", "DEBUG", "FAILOVER", "REPLICAOF", "SLAVEOF"],
]);
const blockingReads = new Set(["XREAD", "XREADGROUP"]);

function argumentOf(value: unknown): Argument {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw new Refused("ERR arguments are texts, numbers and booleans");
}

function checked({ name, args }: Command): Command {
  const isBlocking = blockingReads.has(name) && args.some((arg) => String(arg).toUpperCase() === "BLOCK");
  if (refused.has(name) || isBlocking) throw new Refused(`ERR ${name} is not served over REST`);
  return { name, args };
}

/** A command from a JSON array. Throws Refused. */
export function commandOf(given: unknown): Command {
  if (!Array.isArray(given) || given.length === 0)
    throw new Refused("ERR a command is an array, its name first");
  const [name, ...args] = given.map(argumentOf);
  return checked({ name: String(name).toUpperCase(), args });
}

/** A command from a path such as /set/key/value, its body as a last argument, and its query such as ?EX=60. */
export function commandFromPath(url: URL, body: Buffer): Command {
  let parts: string[];
  try {
    parts = url.pathname.slice(1).split("/").map(decodeURIComponent);
  } catch {
    throw new Refused("ERR the path is not encoded");
  }
  const [name = "", ...args] = parts;
  const options = [...url.searchParams]
    .filter(([key]) => key !== "_token")
    .flatMap(([key, value]) => (value === "" ? [key] : [key, value]));
  return checked({
    name: name.toUpperCase(),
    args: [...args, ...(body.length > 0 ? [body] : []), ...options],
  });
}
