import type { Money as MoneyMessage } from "@mall/gen/mall/common/v1/money_pb";
import type { Money } from "./money";

/** Money of the contract as money of the domain; an absent message is a bug of the caller that validation refuses. */
export const moneyOf = (message: MoneyMessage | undefined): Money => {
  if (!message) throw new TypeError("money is absent");
  return { currency: message.currency, minor: message.minor };
};
