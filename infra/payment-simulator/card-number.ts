import { passesLuhn } from "@mall/kernel/card-number";

/** Runs of digits as cards carry them: at once, or in groups of four. Milliseconds since 1970 have 13 digits. */
const candidate =
  /(?<![A-Za-z0-9_.-])(?:[2-6]\d{13,18}|[2-6]\d{3}(?:[ -]\d{4}){2}[ -]\d{1,7})(?![A-Za-z0-9_.-])/g;

/** Whether a text holds what could be the number of a card. */
export const holdsCardNumber = (text: string): boolean =>
  [...text.matchAll(candidate)].some(([found]) => passesLuhn(found.replace(/[ -]/g, "")));
