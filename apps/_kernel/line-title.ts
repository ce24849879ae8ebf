/** Title of a line in carts and orders: the variant's part is left out when the product has no choice. */
export const lineTitle = (product: string, variant: string): string =>
  variant === "" || variant === "Default" ? product : `${product} – ${variant}`;
