import { ApiError, invalidRequest } from "./api-error";
import type { Form, FormValue } from "./form";

const metadataKeysMax = 50;
const metadataKeyLengthMax = 40;
const textLengthMax = 500;

/** Refuses parameters that the operation does not know. */
export function refuseUnknown(form: Form, known: readonly string[], where = ""): void {
  for (const name of Object.keys(form)) {
    if (known.includes(name)) continue;
    const param = where === "" ? name : `${where}[${name}]`;
    throw invalidRequest(`Received unknown parameter: ${param}`, { code: "parameter_unknown", param });
  }
}

/** A text of limited length; undefined when it is not there or empty, which unsets. */
export function textOf(form: Form, param: string, lengthMax = textLengthMax): string | undefined {
  const value = form[param];
  if (value === undefined || value === "") return undefined;
  if (typeof value !== "string") throw invalidRequest(`Invalid string: ${param}`, { param });
  if (value.length > lengthMax)
    throw invalidRequest(`Invalid string: must be at most ${lengthMax} characters`, { param });
  return value;
}

/** A text that must be there. */
export function requiredText(form: Form, param: string): string {
  const value = textOf(form, param);
  if (value === undefined)
    throw invalidRequest(`Missing required param: ${param}.`, { code: "parameter_missing", param });
  return value;
}

/** A whole number of at least 1. */
export function positiveOf(form: Form, param: string): number | undefined {
  const value = textOf(form, param);
  if (value === undefined) return undefined;
  if (!/^-?\d+$/.test(value))
    throw invalidRequest(`Invalid integer: ${value}`, { code: "parameter_invalid_integer", param });
  const number = Number(value);
  if (number < 1)
    throw invalidRequest("This value must be greater than or equal to 1.", {
      code: "parameter_invalid_integer",
      param,
    });
  return number;
}

/** true or false. */
export function booleanOf(form: Form, param: string): boolean | undefined {
  const value = textOf(form, param);
  if (value === undefined || value === "true" || value === "false") return value && value === "true";
  throw invalidRequest(`Invalid boolean: ${value}`, { param });
}

/** One of a few words. */
export function choiceOf<T extends string>(form: Form, param: string, choices: readonly T[]): T | undefined {
  const value = textOf(form, param);
  const choice = choices.find((word) => word === value);
  if (value === undefined || choice !== undefined) return choice;
  throw invalidRequest(`Invalid ${param}: must be one of ${choices.join(", ")}`, { param });
}

/** The parameters inside of one. */
export function groupOf(form: Form, param: string): Form | undefined {
  const value: FormValue | undefined = form[param];
  if (value === undefined || value === "") return undefined;
  if (typeof value === "string") throw invalidRequest(`Invalid object`, { param });
  return value;
}

/** Texts by names; empty ones are dropped, as they unset. */
export function metadataOf(form: Form): Record<string, string> {
  const entries = Object.entries(groupOf(form, "metadata") ?? {}).map(([name, value]) => {
    const param = `metadata[${name}]`;
    if (typeof value !== "string") throw invalidRequest("Metadata values must be strings.", { param });
    if (name.length > metadataKeyLengthMax || value.length > textLengthMax)
      throw invalidRequest(
        `Metadata names can have ${metadataKeyLengthMax} characters, values ${textLengthMax}.`,
        { param },
      );
    return [name, value] as const;
  });
  if (entries.length > metadataKeysMax)
    throw invalidRequest(`Metadata can have ${metadataKeysMax} names.`, { param: "metadata" });
  return Object.fromEntries(entries.filter(([, value]) => value !== ""));
}

/** Texts of a list. */
export function listOf(form: Form, param: string): string[] {
  return Object.values(groupOf(form, param) ?? {}).map((value) => {
    if (typeof value !== "string") throw invalidRequest("Invalid array", { param });
    return value;
  });
}

const currencies = new Set(Intl.supportedValuesOf("currency"));

/** A currency in small letters. */
export function currencyOf(form: Form): string {
  const currency = requiredText(form, "currency").toLowerCase();
  if (currencies.has(currency.toUpperCase())) return currency;
  throw invalidRequest(`Invalid currency: ${currency}.`, { param: "currency" });
}

/** The least that can be charged, in minor units, where it is not 50. */
const least: Readonly<Record<string, number>> = {
  gbp: 30,
  dkk: 250,
  nok: 300,
  sek: 300,
  hkd: 400,
  mxn: 1000,
};
const amountMax = 99_999_999;

/** The amount of a payment in minor units. */
export function chargeableAmount(form: Form, currency: string): number {
  const amount = positiveOf(form, "amount");
  if (amount === undefined)
    throw invalidRequest("Missing required param: amount.", { code: "parameter_missing", param: "amount" });
  const amountMin = least[currency] ?? 50;
  const refuse = (code: string, message: string) =>
    new ApiError(400, { type: "invalid_request_error", code, message, param: "amount" });
  if (amount < amountMin)
    throw refuse("amount_too_small", `Amount must be at least ${amountMin} ${currency} in minor units.`);
  if (amount > amountMax)
    throw refuse("amount_too_large", `Amount must be no more than ${amountMax} ${currency} in minor units.`);
  return amount;
}
