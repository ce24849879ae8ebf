import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";

/*
 * Variables of an environment, each with the sentence that the README has of it. Of zod its small form, which is a third of
 * the other in a Worker.
 */

z.config(en());

interface Meta {
  description: string;
  /** Only of secrets: the least number of characters that production takes. */
  secretCharactersMin?: number;
}

const described = <T extends z.ZodMiniType>(field: T, meta: Meta): T => {
  z.globalRegistry.add(field, { ...meta });
  return field;
};

/** What is known of a variable. */
export const metaOf = (field: z.core.$ZodType): Partial<Meta> => z.globalRegistry.get(field) ?? {};

/** Any text; empty when it is not set, unless another default is given. */
export const text = (description: string, fallback = "") =>
  described(z._default(z.string(), fallback), { description });

/** A text of a form. */
export const textLike = (form: RegExp, fallback: string, description: string) =>
  described(z._default(z.string().check(z.regex(form)), fallback), { description });

/** One of some words. */
export const choice = <const T extends readonly [string, ...string[]]>(
  words: T,
  fallback: T[number],
  description: string,
) => described(z._default(z.enum(words), fallback as never), { description });

const httpUrl = () => z.url({ protocol: /^https?$/ });

/** The address of something that is spoken to by HTTP. */
export const url = (fallback: string, description: string) =>
  described(z._default(httpUrl(), fallback), { description });

/** An address that may be missing. */
export const optionalUrl = (description: string) => described(z.optional(httpUrl()), { description });

interface Range {
  min: number;
  max?: number;
}

const numberIn = ({ min, max = Number.MAX_SAFE_INTEGER }: Range) =>
  z.coerce.number().check(z.minimum(min), z.maximum(max));

/** A number. */
export const number = (range: Range, fallback: number, description: string) =>
  described(z._default(numberIn(range), fallback), { description });

/** A whole number. */
export const whole = (range: Range, fallback: number, description: string) =>
  described(z._default(numberIn(range).check(z.int()), fallback), { description });

/** A whole number that may be missing. */
export const optionalWhole = (range: Range, description: string) =>
  described(z.optional(numberIn(range).check(z.int())), { description });

/** A secret, empty when it is not needed; production takes none with fewer characters. */
export const secretText = (charactersMin: number, description: string) =>
  described(z._default(z.string(), ""), { description, secretCharactersMin: charactersMin });

/** A secret that is needed, with the form that it must have everywhere. */
export const requiredSecret = (
  charactersMin: number,
  fallback: string,
  { isGood, error }: { isGood(text: string): boolean; error: string },
  description: string,
) =>
  described(z._default(z.string().check(z.refine(isGood, { error })), fallback), {
    description,
    secretCharactersMin: charactersMin,
  });
