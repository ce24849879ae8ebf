import { createHash, timingSafeEqual } from "node:crypto";
import { Redis } from "ioredis";
import { type Command, commandFromPath, commandOf, Refused } from "./commands";
import { rewrittenScripts } from "./scripts";

export interface RedisRestOptions {
  /** redis: or rediss: with user and password. */
  redisUrl: string;
  /** Bearer token of the clients. */
  token: string;
  /** Default: any free port of 127.0.0.1. */
  port?: number;
  hostname?: string;
}

/** Limits of one request. */
export const limits = { bodyBytesMax: 1024 * 1024, commandsMax: 1_000, commandMs: 5_000 };

const digest = (text: string) => createHash("sha256").update(text).digest();

const answer = (status: number, body: unknown): Response =>
  Response.json(body, { status, headers: { "cache-control": "no-store" } });

type Encoding = "utf8" | "base64";

/** A reply as JSON has it. Upstash leaves a bare OK as it is where it encodes everything else. */
function shown(reply: unknown, encoding: Encoding, isInside = false): unknown {
  if (Buffer.isBuffer(reply)) {
    const text = reply.toString("utf8");
    return !isInside && text === "OK" ? text : reply.toString(encoding);
  }
  if (typeof reply === "string")
    return !isInside && reply === "OK" ? reply : Buffer.from(reply).toString(encoding);
  if (Array.isArray(reply)) return reply.map((each) => shown(each, encoding, true));
  return reply ?? null;
}

/** Whether Redis answered, and not that it could not be asked. */
const isReply = (error: unknown): error is Error => (error as Error).name === "ReplyError";

/** One answer of a pipeline or transaction. */
const outcome = (error: unknown, result: () => unknown) =>
  error ? { error: (error as Error).message } : { result: result() };

/** Upstash's REST protocol over a Redis. */
function restApp(redis: Redis, token: string) {
  const scripts = rewrittenScripts();
  const expected = digest(token);

  function isAllowed(request: Request, url: URL): boolean {
    const bearer = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    return timingSafeEqual(digest(bearer ?? url.searchParams.get("_token") ?? ""), expected);
  }

  async function one(command: Command, encoding: Encoding) {
    const { name, args } = scripts.forRedis(command);
    const reply = await redis.callBuffer(name, ...args);
    return { result: shown(scripts.forClient(command, reply), encoding) };
  }

  async function many(commands: readonly Command[], encoding: Encoding, isAtomic: boolean) {
    const chain = isAtomic ? redis.multi() : redis.pipeline();
    for (const { name, args } of commands.map(scripts.forRedis)) chain.callBuffer(name, ...args);
    const replies = (await chain.exec()) ?? [];
    return replies.map(([error, reply], i) =>
      outcome(error, () => shown(scripts.forClient(commands[i]!, reply), encoding)),
    );
  }

  function commandsIn(body: Buffer): Command[] {
    const given = parsed(body);
    if (!Array.isArray(given) || given.length === 0 || given.length > limits.commandsMax)
      throw new Refused(`ERR send an array of 1 to ${limits.commandsMax} commands`);
    return given.map(commandOf);
  }

  async function serve(request: Request, url: URL): Promise<Response> {
    if (!["GET", "HEAD", "POST", "PUT"].includes(request.method))
      return answer(405, { error: `ERR ${request.method} is not served` });
    if (!isAllowed(request, url)) return answer(401, { error: "WRONGPASS invalid or missing auth token" });
    const encoding = request.headers.get("upstash-encoding") === "base64" ? "base64" : "utf8";
    const body = Buffer.from(await request.arrayBuffer());
    if (url.pathname === "/pipeline") return answer(200, await many(commandsIn(body), encoding, false));
    if (url.pathname === "/multi-exec") return answer(200, await many(commandsIn(body), encoding, true));
    const command = url.pathname === "/" ? commandOf(parsed(body)) : commandFromPath(url, body);
    return answer(200, await one(command, encoding));
  }

  return (request: Request): Promise<Response> =>
    serve(request, new URL(request.url)).catch((error: unknown) => {
      if (error instanceof Refused || isReply(error)) return answer(400, { error: (error as Error).message });
      return answer(503, { error: "ERR Redis cannot be reached" });
    });
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw new Refused("ERR the body is not JSON");
  }
}

/** Starts Upstash's REST protocol over one connection to a Redis, which may come and go. */
export function startRedisRest({ redisUrl, token, port = 0, hostname = "127.0.0.1" }: RedisRestOptions) {
  if (token.length < 16) throw new Error("The token must have at least 16 characters.");
  const redis = new Redis(redisUrl, {
    // replies in the shapes that Upstash's clients know
    protocol: 2,
    ...{ connectTimeout: 2_000, commandTimeout: limits.commandMs, maxRetriesPerRequest: 0 },
    retryStrategy: (times) => Math.min(50 * times, 1_000),
  });
  // each request that fails says so itself
  redis.on("error", () => {});
  const server = Bun.serve({
    ...{ port, hostname, development: false, maxRequestBodySize: limits.bodyBytesMax, idleTimeout: 65 },
    fetch: restApp(redis, token),
  });
  return {
    url: `http://${hostname}:${server.port}`,
    token,
    async stop() {
      await server.stop(true);
      redis.disconnect();
    },
  };
}
