import { fault } from "@mall/kernel/fault";
import type { RedisAddress } from "@mall/kernel/redis/address";
import { redisCommand } from "@mall/kernel/redis/command";
import type { ConfigStore, Revision } from "./port";

export interface RedisConfigOptions extends RedisAddress {
  /** The list that holds the revisions, the first one first. */
  key?: string;
}

/** Appends a revision if all before it are there and it is not. */
const append = `if redis.call("LLEN", KEYS[1]) ~= tonumber(ARGV[1]) - 1 then return 0 end
redis.call("RPUSH", KEYS[1], ARGV[2])
return 1`;

const revisionOf = (text: string): Revision => {
  const { at, ...rest } = JSON.parse(text) as Revision & { at: string };
  return { ...rest, at: new Date(at) };
};

const away = (cause?: unknown) =>
  fault("unavailable", "SERVICE_UNAVAILABLE", "The store of the configuration does not answer.", {
    retryAfterSeconds: 1,
    cause,
  });

/**
 * Keeps the configuration in Upstash Redis, or a Redis behind the same REST protocol, that keeps what it has: a list of
 * revisions as JSON. Fault SERVICE_UNAVAILABLE when it does not answer in time.
 */
export function redisConfig({ key = "mall:config", ...address }: RedisConfigOptions): ConfigStore {
  const command = redisCommand(address);
  const asked = <T>(work: () => Promise<T>): Promise<T> =>
    work().catch((error: unknown) => {
      throw away(error);
    });
  const at = async (index: number): Promise<Revision | undefined> => {
    const text = await asked(() => command<string | null>("LINDEX", key, index));
    return text === null ? undefined : revisionOf(text);
  };
  return {
    newest: () => at(-1),
    // an index below zero would count from the end
    find: async (revision) => (revision < 1 ? undefined : at(revision - 1)),
    async list(before, limit) {
      if (before !== undefined && before <= 1) return [];
      // indexes below zero count from the end of the list
      const [first, last] =
        before === undefined ? [-limit, -1] : [Math.max(0, before - 1 - limit), before - 2];
      const texts = await asked(() => command<string[]>("LRANGE", key, first!, last!));
      return texts.map(revisionOf).reverse();
    },
    async add(next) {
      const args = [key, next.revision, JSON.stringify(next)];
      return (await asked(() => command<number>("EVAL", append, 1, ...args))) === 1;
    },
  };
}
