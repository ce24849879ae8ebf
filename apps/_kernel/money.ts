import { fault } from "./fault";

/** Integer minor units of one currency (ISO 4217). Never a float. */
export interface Money {
  readonly currency: string;
  readonly minor: bigint;
}

const minorMax = 2n ** 63n - 1n;

function checked(currency: string, minor: bigint): Money {
  if (minor > minorMax || minor < -minorMax) {
    throw fault("out_of_range", "AMOUNT_OVERFLOW", "An amount of money is larger than the mall can count.");
  }
  return { currency, minor };
}

function sameCurrency(a: Money, b: Money): string {
  if (a.currency !== b.currency) {
    throw fault(
      "failed_precondition",
      "CURRENCY_MISMATCH",
      `Cannot combine ${a.currency} with ${b.currency}.`,
    );
  }
  return a.currency;
}

/** Nothing, in a currency. */
export const zero = (currency: string): Money => ({ currency, minor: 0n });

/** a + b. Refuses mixed currencies and int64 overflow. */
export const add = (a: Money, b: Money): Money => checked(sameCurrency(a, b), a.minor + b.minor);

/** a - b. Refuses mixed currencies and int64 overflow. */
export const subtract = (a: Money, b: Money): Money => checked(sameCurrency(a, b), a.minor - b.minor);

/** amount × quantity; quantity is a whole number. Refuses int64 overflow. */
export const times = (amount: Money, quantity: number): Money =>
  checked(amount.currency, amount.minor * BigInt(quantity));

/** Sum of all amounts, which may be none. */
export const sum = (currency: string, amounts: readonly Money[]): Money =>
  amounts.reduce(add, zero(currency));

export const equals = (a: Money, b: Money): boolean => a.currency === b.currency && a.minor === b.minor;

/**
 * Splits an amount in proportion to whole-number weights without losing a unit: each part is rounded down and the
 * units left over go to the parts with the largest remainders, earlier parts first (largest remainder method).
 * Weights must be ≥ 0 with a sum > 0.
 */
export function allocate(amount: Money, weights: readonly bigint[]): Money[] {
  const total = weights.reduce((a, b) => a + b, 0n);
  if (total <= 0n || weights.some((w) => w < 0n))
    throw new RangeError("allocate needs weights ≥ 0 with a sum > 0");
  const sign = amount.minor < 0n ? -1n : 1n;
  const units = amount.minor * sign;
  const parts = weights.map((weight, index) => ({
    index,
    minor: (units * weight) / total,
    remainder: (units * weight) % total,
  }));
  let left = units - parts.reduce((a, part) => a + part.minor, 0n);
  const byRemainder = parts.toSorted((a, b) =>
    a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1,
  );
  for (const part of byRemainder) {
    if (left === 0n) break;
    part.minor += 1n;
    left -= 1n;
  }
  return parts.map((part) => ({ currency: amount.currency, minor: part.minor * sign }));
}

/**
 * `rate` millionths of an amount (82 500 = 8.25 %), rounded half up to the minor unit: the share that `allocate`
 * gives, with ties going to the share.
 */
export function share(amount: Money, rateMillionths: bigint): Money {
  const [part] = allocate(amount, [rateMillionths, 1_000_000n - rateMillionths]);
  return part!;
}
