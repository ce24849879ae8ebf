import { RedisClient } from "bun";
import { within } from "../concurrency";
import { errorFields, type Log } from "../log";
import type { ServiceName } from "../topology";
import type { Discovery, Instance } from "./port";

export interface RedisOptions {
  /** redis: or rediss: with user and password. */
  url: string;
  log: Log;
  /** Milliseconds between two looks at what is there. */
  refreshMs?: number;
  /** Milliseconds an announcement holds. */
  ttlMs?: number;
  /** Prefix of all keys. */
  prefix?: string;
}

/** Times of the registry: an instance that died without a word is forgotten after `ttlMs`. */
export const redisTimes = { refreshMs: 500, ttlMs: 5_000, commandMs: 1_000 };

type Known = ReadonlyMap<ServiceName, readonly Instance[]>;

/** Instances by service, from the ids "<service> <id>" and their addresses; null is an announcement that ran out. */
function knownFrom(members: readonly string[], urls: readonly (string | null)[]): Known {
  const known = new Map<ServiceName, Instance[]>();
  for (const [i, member] of members.entries()) {
    const url = urls[i];
    if (!url) continue;
    const [service, id] = member.split(" ") as [ServiceName, string];
    known.set(service, [...(known.get(service) ?? []), { id, url }]);
  }
  return known;
}

const isSame = (one: readonly Instance[] = [], other: readonly Instance[] = []): boolean =>
  one.length === other.length && one.every(({ id, url }, i) => other[i]!.id === id && other[i]!.url === url);

/**
 * What is seen now beside what was known: a service whose last instance has gone keeps that one, for an address that
 * refuses is no worse than none, and an emptied Redis must not stop a mall that runs.
 */
function merged(before: Known, seen: Known): Known {
  const after = new Map(before);
  for (const [service, instances] of seen) {
    const ordered = instances.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    // the same array means that nothing has changed
    if (!isSame(before.get(service), ordered)) after.set(service, ordered);
  }
  return after;
}

/**
 * Instances announce themselves in a Redis (6 or newer, Upstash too): a key each, which runs out by itself, and one set
 * of all ids to find them by. Every process keeps a copy that it renews twice a second; while Redis is away the last
 * copy holds, and no request ever waits for Redis.
 */
export async function redisDiscovery(options: RedisOptions): Promise<Discovery> {
  const { url, log, refreshMs = redisTimes.refreshMs, ttlMs = redisTimes.ttlMs, prefix = "mall" } = options;
  const redis = new RedisClient(url, {
    connectionTimeout: redisTimes.commandMs,
    enableOfflineQueue: false,
    maxRetries: 2 ** 32 - 1,
  });
  const index = `${prefix}:instances`;
  const memberOf = (service: ServiceName, { id }: Instance) => `${service} ${id}`;
  const keyOf = (member: string) => `${prefix}:instance:${member}`;
  let known: Known = new Map();
  let isKnowing = false;
  let isAway = false;

  /** Runs commands, connected, for a second at most, for a Redis that hangs answers nothing; and none of them later. */
  async function asking<T>(work: () => Promise<T>): Promise<T> {
    let isGivenUp = false;
    const connected = async () => {
      if (!redis.connected) await redis.connect();
      if (isGivenUp) throw new Error("Redis came too late");
      return work();
    };
    try {
      return await within(redisTimes.commandMs, "Redis", connected());
    } finally {
      isGivenUp = true;
    }
  }

  async function look(): Promise<void> {
    const members = (await redis.smembers(index)).toSorted();
    const urls = members.length > 0 ? await redis.mget(...members.map(keyOf)) : [];
    known = merged(known, knownFrom(members, urls));
    isKnowing = true;
    const gone = members.filter((_, i) => !urls[i]);
    if (gone.length > 0) await redis.srem(index, ...gone);
  }

  async function refresh(): Promise<void> {
    try {
      await asking(look);
      isAway = false;
    } catch (error) {
      if (!isAway) log("warn", "the registry is away, the last known instances hold", errorFields(error));
      isAway = true;
    }
  }

  let isLooking = false;
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    void refresh().finally(() => {
      isLooking = false;
    });
  }, refreshMs);
  await refresh();
  return {
    instances: (service) => known.get(service) ?? none,
    isKnowing: () => isKnowing,
    announce: (service, instance) =>
      asking(async () => {
        const member = memberOf(service, instance);
        await Promise.all([redis.set(keyOf(member), instance.url, "PX", ttlMs), redis.sadd(index, member)]);
      }),
    withdraw: (service, instance) =>
      asking(async () => {
        const member = memberOf(service, instance);
        await Promise.all([redis.del(keyOf(member)), redis.srem(index, member)]);
      }),
    close() {
      clearInterval(timer);
      redis.close();
    },
  };
}

const none: readonly Instance[] = [];
