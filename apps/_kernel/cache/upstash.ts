import type { RedisAddress } from "../redis/address";
import { upstashRedis } from "../redis/upstash";
import type { Cache, Json } from "./port";

export interface UpstashCacheOptions extends RedisAddress {
  /** Beginning of all keys. */
  prefix?: string;
}

/** Longer than any value lives; when it is over, everything is loaded once more. */
const generationTtlMs = 24 * 3_600_000;

/**
 * The kept value of a text; undefined for one of another generation, and for what is none of ours, as if it were not
 * there.
 */
function keptIn(text: string | null | undefined, generation: string): Json | undefined {
  try {
    const [of, value] = JSON.parse(text ?? "[]") as [string?, Json?];
    return of === generation ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Values that all instances share, in Upstash Redis or a Redis behind the same REST protocol. Keys are
 * `<prefix>:<group>` for the generation, which lives for a day, and `<prefix>:<group>:<key>` for a value, as the JSON
 * `[generation, value]`. Each method is one request of one pipeline. Rejects when Redis does not answer in time: use it
 * through `guardedCache`.
 */
export function upstashCache({ prefix = "mall:cache", ...address }: UpstashCacheOptions): Cache {
  const redis = upstashRedis(address);
  const head = (group: string) => `${prefix}:${group}`;
  return {
    async read(group, keys) {
      const names = [head(group), ...keys.map((key) => `${head(group)}:${key}`)];
      const fresh = crypto.randomUUID();
      // the generation has to be there before anything is loaded that is written under it
      const [, [known, ...texts]] = await redis
        .pipeline()
        .set(head(group), fresh, { nx: true, px: generationTtlMs })
        .mget<(string | null)[]>(...names)
        .exec<[unknown, (string | null)[]]>();
      const generation = known ?? fresh;
      return { generation, values: keys.map((_, i) => keptIn(texts[i], generation)) };
    },
    async write(group, generation, values, ttlMs) {
      if (values.size === 0) return;
      const pipeline = redis.pipeline();
      for (const [key, value] of values)
        pipeline.set(`${head(group)}:${key}`, JSON.stringify([generation, value]), { px: ttlMs });
      await pipeline.exec();
    },
    async forget(group) {
      await redis.del(head(group));
    },
  };
}
