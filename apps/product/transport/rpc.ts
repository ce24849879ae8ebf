import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  AdjustStockResponseSchema,
  InventoryService,
  ReceiveStockResponseSchema,
} from "@mall/gen/mall/product/v1/inventory_pb";
import { type ListProductsRequest, ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { invalid } from "@mall/kernel/fault";
import { type Id, idOf, isId, uuidOf } from "@mall/kernel/id";
import { foreignToken, pagePosition, pageToken } from "@mall/kernel/page-token";
import { type Answer, ticketKey } from "@mall/kernel/rpc/idempotency";
import { type Implementation, implement } from "@mall/kernel/rpc/server";
import { adjustStock } from "../application/adjust-stock";
import { batchGetVariants } from "../application/batch-get-variants";
import { claimStock } from "../application/claim-stock";
import { extendStock } from "../application/extend-stock";
import { getProduct } from "../application/get-product";
import { getStock } from "../application/get-stock";
import { importProducts } from "../application/import-products";
import { listMovements } from "../application/list-movements";
import { listProducts } from "../application/list-products";
import { receiveStock } from "../application/receive-stock";
import { reconcileStock } from "../application/reconcile-stock";
import { releaseStock } from "../application/release-stock";
import { reserveStock } from "../application/reserve-stock";
import { restockStock } from "../application/restock-stock";
import type { Deps } from "../deps";
import type { PagePosition, Sort } from "../domain/catalogue";
import type { Stock } from "../domain/stock";
import {
  differenceToMessage,
  movementToMessage,
  productToMessage,
  stockToMessage,
  variantToMessage,
} from "./codec";

/** What a page token is bound to. */
const queryOf = ({ category, q, sort }: ListProductsRequest) =>
  JSON.stringify(["products", category, q, sort || "newest"]);

const idLength = "prod_".length + 26;

/** The position in a page token; one that was tampered with is refused like one of another query. */
function positionOf(request: ListProductsRequest): PagePosition | undefined {
  const text = pagePosition(queryOf(request), request.pageToken);
  if (text === undefined) return undefined;
  const [id, value] = [text.slice(0, idLength), text.slice(idLength)];
  const isPrice = request.sort === "price" || request.sort === "-price";
  const isSound = isPrice ? /^[0-9]{1,18}$/.test(value) : !value.includes("\0");
  if (!isId(id) || !id.startsWith("prod_") || !isSound) throw foreignToken();
  return { value, id: uuidOf(id) };
}

/** ProductService on the application's use cases. */
export const productRpc = (deps: Deps): Implementation =>
  implement(ProductService, {
    async listProducts(request) {
      const { products, next } = await listProducts(deps)({
        sort: (request.sort || "newest") as Sort,
        category: request.category || undefined,
        words: request.q,
        after: positionOf(request),
        size: request.pageSize ?? 20,
      });
      const nextPageToken = next ? pageToken(queryOf(request), idOf("prod", next.id) + next.value) : "";
      return { products: products.map(productToMessage), nextPageToken };
    },
    getProduct: async ({ productId }) => ({
      product: productToMessage(await getProduct(deps)(productId as Id<"prod">)),
    }),
    async batchGetVariants({ variantIds }) {
      const found = await batchGetVariants(deps)(variantIds as Id<"var">[]);
      return { variants: found.map((sold) => ({ ...sold, variant: variantToMessage(sold.variant) })) };
    },
    importProducts: ({ csv, setStock }) => importProducts(deps)(csv, setStock),
  });

/** Encodes the answer that the key of a stock change replays. */
const answerOf =
  <D extends typeof AdjustStockResponseSchema | typeof ReceiveStockResponseSchema>(desc: D) =>
  (stock: Stock): Answer => {
    const response = { stock: stockToMessage(stock) } as MessageInitShape<D>;
    return { kind: "message", status: 200, message: toBinary(desc, create(desc, response)) };
  };

/** The end of a hold as a Date. Fault VALIDATION outside the years 1 to 9999, which no column could keep. */
function endOf(expiresAt: Timestamp | undefined): Date | undefined {
  if (!expiresAt) return undefined;
  const end = timestampDate(expiresAt);
  const year = end.getUTCFullYear();
  if (year >= 1 && year <= 9999) return end;
  throw invalid([{ pointer: "#/expiresAt", detail: "is no instant of the years 1 to 9999" }]);
}

const uuidForm = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What the page tokens of a reconciliation are bound to. */
const reconciliation = JSON.stringify(["reconciliation"]);

/** InventoryService on the application's use cases. */
export const inventoryRpc = (deps: Deps): Implementation =>
  implement(InventoryService, {
    getStock: async ({ variantId }) => ({
      stock: stockToMessage(await getStock(deps)(variantId as Id<"var">)),
    }),
    async adjustStock({ variantId, delta, note, expectedVersion }, context) {
      const input = { variantId: variantId as Id<"var">, delta, note, expectedVersion };
      const answer = answerOf(AdjustStockResponseSchema);
      return {
        stock: stockToMessage(await adjustStock(deps)(input, context.values.get(ticketKey)!, answer)),
      };
    },
    async receiveStock({ variantId, quantity, note }, context) {
      const input = { variantId: variantId as Id<"var">, quantity, note };
      const answer = answerOf(ReceiveStockResponseSchema);
      return {
        stock: stockToMessage(await receiveStock(deps)(input, context.values.get(ticketKey)!, answer)),
      };
    },
    async reserveStock({ checkoutId, lines, expiresAt, userId }) {
      const holdId = await reserveStock(deps)({
        checkoutId: checkoutId as Id<"chk">,
        lines: lines.map(({ variantId, quantity }) => ({ variantId: variantId as Id<"var">, quantity })),
        expiresAt: endOf(expiresAt),
        userId: userId === "" ? undefined : (userId as Id<"usr">),
      });
      return { holdId };
    },
    async extendStock({ checkoutId, expiresAt, sequence }) {
      await extendStock(deps)(checkoutId as Id<"chk">, endOf(expiresAt), sequence);
      return {};
    },
    async claimStock({ checkoutId }) {
      await claimStock(deps)(checkoutId as Id<"chk">);
      return {};
    },
    async releaseStock({ checkoutId }) {
      await releaseStock(deps)(checkoutId as Id<"chk">);
      return {};
    },
    async restockStock({ checkoutId }) {
      await restockStock(deps)(checkoutId as Id<"chk">);
      return {};
    },
    async listMovements({ variantId, pageSize, pageToken: token }) {
      const query = JSON.stringify(["movements", variantId]);
      const before = pagePosition(query, token);
      if (before !== undefined && !uuidForm.test(before)) throw foreignToken();
      const { movements, next } = await listMovements(deps)(variantId as Id<"var">, before, pageSize ?? 20);
      return {
        movements: movements.map(movementToMessage),
        nextPageToken: next ? pageToken(query, next) : "",
      };
    },
    async reconcileStock({ pageToken: token }) {
      const after = pagePosition(reconciliation, token);
      if (after !== undefined && !(isId(after) && after.startsWith("var_"))) throw foreignToken();
      const { checked, differences, next } = await reconcileStock(deps)(after as Id<"var"> | undefined);
      return {
        checked,
        differences: differences.map(differenceToMessage),
        nextPageToken: next ? pageToken(reconciliation, next) : "",
      };
    },
  });
