import { fromJson, toJson } from "@bufbuild/protobuf";
import { type SoldVariant, SoldVariantSchema } from "@mall/gen/mall/product/v1/product_pb";
import type { Json } from "@mall/kernel/cache/port";
import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";

/** The group of what is kept of the catalogue. */
const group = "sold-variants";

/** What is kept of a variant: when it was asked for, and what the answer was. */
type Kept = [askedMs: number, sold: Json];

function variantOf(value: Json | undefined, sinceMs: number): SoldVariant | undefined {
  if (value === undefined) return undefined;
  try {
    const [askedMs, sold] = value as Kept;
    return askedMs < sinceMs
      ? undefined
      : fromJson(SoldVariantSchema, sold as Parameters<typeof fromJson>[1]);
  } catch {
    // another version of the mall has written it
    return undefined;
  }
}

/**
 * Those of the variants that are sold, for what is shown: each at most `offersKeptMs` old, and none from before `since` or a
 * product event that has come. What nobody has asked for lately is asked for in one call. That something is not sold is
 * not kept.
 */
export async function findSoldVariants(
  deps: Pick<Deps, "rpc" | "cache" | "offersKeptMs" | "background" | "metrics" | "clock">,
  ids: readonly Id<"var">[],
  since: Date = new Date(0),
): Promise<SoldVariant[]> {
  const ask = async (variantIds: readonly Id<"var">[]) =>
    (await deps.rpc.product.batchGetVariants({ variantIds: [...variantIds] })).variants;
  if (deps.offersKeptMs === 0) return ask(ids);
  const { generation, values } = await deps.cache.read(group, ids);
  // when it was asked for counts, not when the answer was written, which is later by as long as the catalogue took
  const sinceMs = Math.max(since.getTime(), deps.clock().getTime() - deps.offersKeptMs);
  const known = values.map((value) => variantOf(value, sinceMs));
  const hits = known.filter((one) => one !== undefined);
  const unknown = ids.filter((_, i) => known[i] === undefined);
  deps.metrics.count("mall_cache_reads_total", { cache: "offers", result: "hit" }, hits.length);
  deps.metrics.count("mall_cache_reads_total", { cache: "offers", result: "miss" }, unknown.length);
  if (unknown.length === 0) return hits;
  const askedMs = deps.clock().getTime();
  const asked = await ask(unknown);
  const entries = asked.map((sold): [string, Kept] => [
    sold.variant!.id,
    [askedMs, toJson(SoldVariantSchema, sold)],
  ]);
  deps.background(deps.cache.write(group, generation, new Map(entries), deps.offersKeptMs));
  return [...hits, ...asked];
}

/** Ends before QStash's third retry, 21 s after the first attempt, so that no event for a mere cache becomes a dead letter. */
const tryForMs = 10_000;

/**
 * Forgets what is known of the catalogue, on all instances that share a cache. Fault CACHE_UNAVAILABLE when that cannot
 * be done now, so that the event comes again; later than `tryForMs` after the change what is known is left to its age.
 */
export const forgetSoldVariants =
  (deps: Pick<Deps, "cache" | "clock">) =>
  async (changedAt: Date): Promise<void> => {
    try {
      await deps.cache.forget(group);
    } catch {
      if (deps.clock().getTime() - changedAt.getTime() >= tryForMs) return;
      throw fault("unavailable", "CACHE_UNAVAILABLE", "The shared cache does not answer.");
    }
  };
