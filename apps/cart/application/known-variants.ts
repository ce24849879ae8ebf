import { fromJson, toJson } from "@bufbuild/protobuf";
import { type SoldVariant, SoldVariantSchema } from "@mall/gen/mall/product/v1/product_pb";
import type { Json } from "@mall/kernel/cache/port";
import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Deps } from "../deps";

/** The group of what is kept of the catalogue. */
const group = "sold-variants";

function variantOf(value: Json | undefined): SoldVariant | undefined {
  if (value === undefined) return undefined;
  try {
    return fromJson(SoldVariantSchema, value as Parameters<typeof fromJson>[1]);
  } catch {
    // another version of the mall has written it
    return undefined;
  }
}

/**
 * Those of the variants that are sold, for what is shown: each at most `offersKeptMs` old, and none from before a product
 * event that has come. What nobody has asked for lately is asked for in one call. That something is not sold is not kept.
 */
export async function findSoldVariants(
  deps: Pick<Deps, "rpc" | "cache" | "offersKeptMs" | "background" | "metrics">,
  ids: readonly Id<"var">[],
): Promise<SoldVariant[]> {
  const ask = async (variantIds: readonly Id<"var">[]) =>
    (await deps.rpc.product.batchGetVariants({ variantIds: [...variantIds] })).variants;
  if (deps.offersKeptMs === 0) return ask(ids);
  const { generation, values } = await deps.cache.read(group, ids);
  const known = values.map(variantOf);
  const hits = known.filter((one) => one !== undefined);
  const unknown = ids.filter((_, i) => known[i] === undefined);
  deps.metrics.count("mall_cache_reads_total", { cache: "offers", result: "hit" }, hits.length);
  deps.metrics.count("mall_cache_reads_total", { cache: "offers", result: "miss" }, unknown.length);
  if (unknown.length === 0) return hits;
  const asked = await ask(unknown);
  const entries = asked.map((sold) => [sold.variant!.id, toJson(SoldVariantSchema, sold)] as const);
  deps.background(deps.cache.write(group, generation, new Map(entries), deps.offersKeptMs));
  return [...hits, ...asked];
}

/**
 * Forgets what is known of the catalogue, on all instances that share a cache. Fault CACHE_UNAVAILABLE when that cannot
 * be done now: the event comes again.
 */
export const forgetSoldVariants = (deps: Pick<Deps, "cache">) => async (): Promise<void> => {
  try {
    await deps.cache.forget(group);
  } catch {
    throw fault("unavailable", "CACHE_UNAVAILABLE", "The shared cache does not answer.");
  }
};
