import { fault } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";

/** What a code that comes by mail is good for. */
export type CodeKind = "EMAIL_VERIFICATION" | "EMAIL_CHANGE";

/** One code: whose it is, and which of that user's codes of its kind. */
export interface CodeRef {
  kind: CodeKind;
  userId: Id<"usr">;
  generation: number;
}

/** What is read out of a presented code; its kind is that of the request. */
export type PresentedCode = Omit<CodeRef, "kind"> & { secret: string };

/** How long a code is good, in seconds: as long as somebody may take to look at mails, and no longer. */
export const codeTtlSeconds: Record<CodeKind, number> = {
  EMAIL_VERIFICATION: 24 * 3600,
  EMAIL_CHANGE: 3600,
};

/** A user gets no second mail of a kind within these seconds. */
export const codePauseSeconds = 60;

const form = /^(usr_[0-7][0-9a-hjkmnp-tv-z]{25})\.([1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})$/;

/** Reads a code; undefined when the text is none. */
export function parseCode(text: string): PresentedCode | undefined {
  const match = form.exec(text.trim());
  if (!match) return undefined;
  return { userId: match[1] as Id<"usr">, generation: Number(match[2]), secret: match[3]! };
}

/** The text of a code. */
export const formatCode = ({ userId, generation, secret }: PresentedCode): string =>
  `${userId}.${generation}.${secret}`;

/** CODE_INVALID: forged, used, replaced and expired codes all answer this. */
export const codeInvalid = () =>
  fault("invalid_argument", "CODE_INVALID", "The code is wrong, was used or has ended; ask for another one.");
