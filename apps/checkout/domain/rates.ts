import { fault } from "@mall/kernel/fault";
import { type Money, share, subtract, sum, zero } from "@mall/kernel/money";
import { type Destination, regionCode } from "./destination";

export interface ShippingOption {
  code: string;
  title: string;
  price: Money;
}

const homeCountry = "US";

/** The ways to ship: prices in minor units at home and abroad; standard is free at home from `freeFromMinor`. */
const shippingTable = [
  {
    code: "standard",
    title: "Standard (3 to 5 days)",
    homeMinor: 599n,
    abroadMinor: 1999n,
    freeFromMinor: 10_000n,
  },
  {
    code: "express",
    title: "Express (1 to 2 days)",
    homeMinor: 1499n,
    abroadMinor: 3999n,
    freeFromMinor: undefined,
  },
] as const;

/** Flat tax by destination in millionths; `shipping` tells whether shipping is taxed too. */
const taxTable: { country: string; region?: string; rateMillionths: bigint; shipping: boolean }[] = [
  { country: "US", region: "CA", rateMillionths: 72_500n, shipping: false },
  { country: "US", region: "NY", rateMillionths: 40_000n, shipping: true },
  { country: "US", region: "TX", rateMillionths: 62_500n, shipping: true },
  { country: "US", region: "WA", rateMillionths: 65_000n, shipping: true },
  { country: "GB", rateMillionths: 200_000n, shipping: true },
  { country: "DE", rateMillionths: 190_000n, shipping: true },
  { country: "FR", rateMillionths: 200_000n, shipping: true },
];

/** All ways to ship to a destination, priced for what the goods cost after the discount. */
export function shippingOptions(to: Destination, goods: Money): ShippingOption[] {
  return shippingTable.map(({ code, title, homeMinor, abroadMinor, freeFromMinor }) => {
    const home = to.country === homeCountry;
    const free = home && freeFromMinor !== undefined && goods.minor >= freeFromMinor;
    return {
      code,
      title,
      price: { currency: goods.currency, minor: free ? 0n : home ? homeMinor : abroadMinor },
    };
  });
}

/** Fault VALIDATION when there is no such way to ship. */
export function checkShippingOption(code: string): void {
  if (shippingTable.some((option) => option.code === code)) return;
  const detail = `must be one of: ${shippingTable.map((option) => option.code).join(", ")}`;
  throw fault("invalid_argument", "VALIDATION", `The shipping option ${detail}.`, {
    violations: [{ pointer: "#/shippingOption", detail }],
  });
}

export interface Totals {
  subtotal: Money;
  discountTotal: Money;
  shippingTotal: Money;
  taxTotal: Money;
  total: Money;
}

/** What comes off: never more than the goods cost. Fault CURRENCY_MISMATCH for a discount in another currency. */
function discountOn(subtotal: Money, discount: Money): Money {
  if (discount.minor < 0n) throw new RangeError("a discount is not negative");
  return subtract(subtotal, discount).minor < 0n ? subtotal : discount;
}

/**
 * The sums of a purchase: total = subtotal − discountTotal + shippingTotal + taxTotal. `discount` is an amount off the
 * goods, at most all of them. Free shipping is decided on, and tax computed on, the goods after the discount. Tax is
 * computed once on the whole taxable amount and rounded half up to the minor unit; destinations that are not in the
 * table pay none. Faults: CURRENCY_MISMATCH, AMOUNT_OVERFLOW.
 */
export function computeTotals(
  lineTotals: readonly Money[],
  currency: string,
  to: Destination,
  optionCode: string,
  discount: Money = zero(currency),
): Totals {
  const subtotal = sum(currency, lineTotals);
  const discountTotal = discountOn(subtotal, discount);
  const goods = subtract(subtotal, discountTotal);
  const shippingTotal = shippingOptions(to, goods).find((option) => option.code === optionCode)!.price;
  const region = regionCode(to.region);
  const rule = taxTable.find(
    (rate) => rate.country === to.country && (!rate.region || rate.region === region),
  );
  const taxable = rule?.shipping ? sum(currency, [goods, shippingTotal]) : goods;
  const taxTotal = rule ? share(taxable, rule.rateMillionths) : zero(currency);
  const total = sum(currency, [goods, shippingTotal, taxTotal]);
  return { subtotal, discountTotal, shippingTotal, taxTotal, total };
}
