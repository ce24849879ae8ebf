import { invalid } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import type { Person } from "./account";
import { codeInvalid } from "./code";

const lengthMin = 8;

/** The one form in which a password is hashed and compared (NIST SP 800-63B §3.1.1.2), whichever keyboard typed it. */
export const comparablePassword = (password: string): string => password.normalize("NFKC");

/** The form in which guesses are compared: case changes nothing about how early somebody tries them. */
export const guessOf = (text: string): string => comparablePassword(text).toLowerCase();

/** What everybody who knows the person tries first. */
const guessesAbout = ({ email, displayName }: Person): string[] => {
  const local = email.slice(0, email.lastIndexOf("@"));
  const words = displayName.split(/\s+/);
  return [email, local, displayName, words.join(""), words.join(".")].map(guessOf);
};

/** What is wrong with a new password of a person; undefined when nothing is. */
function flawOf(password: string, person: Person, isCommon: (password: string) => boolean) {
  const characters = [...comparablePassword(password)];
  if (characters.length < lengthMin) return `must have at least ${lengthMin} characters`;
  if (new Set(characters).size === 1) return "must not be one character again and again";
  if (guessesAbout(person).includes(guessOf(password)))
    return "must not be the account's e-mail address or name";
  if (isCommon(password)) return "is among the passwords that everybody tries first";
  return undefined;
}

/** Where in the request a new password stands, whose it shall be, and how it is known to be common. */
interface Choice {
  pointer: "#/password" | "#/newPassword";
  person: Person;
  isCommon(password: string): boolean;
}

/** Fault VALIDATION when a new password is too easy to guess for its person. */
export function checkPassword(password: string, { pointer, person, isCommon }: Choice): void {
  const detail = flawOf(password, person, isCommon);
  if (detail) throw invalid([{ pointer, detail }]);
}

/** How long the code of a reset is good, in seconds. */
export const resetTtlSeconds = 30 * 60;

/** An address gets no second code within the pause, and after a burst only one an interval. Seconds. */
export const resetRate = { pauseSeconds: 60, burst: 3, intervalSeconds: 3600 } as const;

const form = /^(rst_[0-7][0-9a-hjkmnp-tv-z]{25})\.([A-Za-z0-9_-]{43})$/;

/** Reads the code of a reset. Fault CODE_INVALID when the text is none. */
export function parseResetCode(text: string): { resetId: Id<"rst">; secret: string } {
  const match = form.exec(text.trim());
  if (!match) throw codeInvalid();
  return { resetId: match[1] as Id<"rst">, secret: match[2]! };
}

/** The text of the code of a reset. */
export const formatResetCode = (resetId: Id<"rst">, secret: string): string => `${resetId}.${secret}`;
