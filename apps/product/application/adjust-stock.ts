import type { Tx } from "@mall/kernel/db/client";
import { fault, notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Answer, Ticket } from "@mall/kernel/rpc/idempotency";
import type { Deps } from "../deps";
import { availableOf, outOfStock, type Stock } from "../domain/stock";
import { lockStock } from "./lock-stock";
import { moveStock } from "./move-stock";

export interface AdjustStock {
  variantId: Id<"var">;
  delta: number;
  note: string;
  expectedVersion?: number;
}

/** Fault VARIANT_NOT_TRACKED: the stock of the variant is not counted. */
export function checkTracked(stock: Stock): void {
  if (stock.trackInventory) return;
  throw fault("failed_precondition", "VARIANT_NOT_TRACKED", "The stock of this variant is not counted.");
}

const unitsMax = 2_000_000_000;

/** Changes the units on hand inside a transaction that others wait for. */
export async function change(
  deps: Pick<Deps, "clock" | "announce" | "lowAt" | "audit">,
  tx: Tx,
  input: AdjustStock,
  kind: "adjust" | "receive",
): Promise<Stock> {
  const now = deps.clock();
  const stock = (await lockStock(deps, tx, [input.variantId], now)).get(input.variantId);
  if (!stock) throw notFound("VARIANT");
  checkTracked(stock);
  if (input.expectedVersion !== undefined && input.expectedVersion !== stock.version) {
    throw fault("aborted", "VERSION_MISMATCH", "The stock was changed meanwhile; read it again.", {
      metadata: { version: String(stock.version) },
    });
  }
  if (availableOf(stock) + input.delta < 0) throw outOfStock(input.variantId, availableOf(stock));
  if (stock.onHand + input.delta > unitsMax) {
    throw fault("out_of_range", "STOCK_LIMIT", `A variant has at most ${unitsMax} units.`);
  }
  const action = kind === "adjust" ? "AdjustStock" : "ReceiveStock";
  await deps.audit.record(tx, { action, subject: input.variantId, metadata: { delta: input.delta } });
  return moveStock(deps, tx, stock, { delta: input.delta, kind, note: input.note }, now);
}

/** Runs a stock change once for its key; `answer` is the response that the key replays. */
export const keyed = (
  deps: Pick<Deps, "db" | "answers">,
  ticket: Ticket,
  effect: (tx: Tx) => Promise<Stock>,
  answer: (stock: Stock) => Answer,
): Promise<Stock> =>
  deps.db.tx(async (tx) => {
    await deps.answers.take(tx, ticket);
    const stock = await effect(tx);
    await deps.answers.settle(tx, ticket, answer(stock));
    return stock;
  });

/** Corrects the units on hand. Faults: VARIANT_NOT_FOUND, VARIANT_NOT_TRACKED, VERSION_MISMATCH, OUT_OF_STOCK. */
export const adjustStock =
  (deps: Deps) =>
  (input: AdjustStock, ticket: Ticket, answer: (stock: Stock) => Answer): Promise<Stock> =>
    keyed(deps, ticket, (tx) => change(deps, tx, input, "adjust"), answer);
