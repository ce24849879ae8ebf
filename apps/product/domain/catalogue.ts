import type { Id } from "@mall/kernel/id";
import type { Money } from "@mall/kernel/money";

export interface Variant {
  id: Id<"var">;
  sku: string;
  title: string;
  price: Money;
  compareAtPrice?: Money;
  trackInventory: boolean;
  /** Units that can be bought; undefined when stock is not tracked. */
  available?: number;
  options: { name: string; value: string }[];
}

export interface Product {
  id: Id<"prod">;
  handle: string;
  title: string;
  description: string;
  vendor: string;
  categories: { slug: string; title: string }[];
  media: { url: string; alt: string }[];
  variants: Variant[];
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

/** A variant as carts and orders show it. */
export interface SoldVariant {
  variant: Variant;
  productId: Id<"prod">;
  productTitle: string;
}

/** Orders in which products can be listed. */
export type Sort = "newest" | "price" | "-price" | "title";

/** Where a page ends: the sorting value and the id of its last product. */
export interface PagePosition {
  value: string;
  id: string;
}
