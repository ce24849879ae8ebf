/** Runs of digits as cards carry them: at once, or in groups of four. Milliseconds since 1970 have 13 digits. */
const candidate =
  /(?<![A-Za-z0-9_.-])(?:[2-6]\d{13,18}|[2-6]\d{3}(?:[ -]\d{4}){2}[ -]\d{1,7})(?![A-Za-z0-9_.-])/g;

/** Whether the last digit proves the others, as on every card. */
function isLuhn(digits: string): boolean {
  const sum = [...digits].reverse().reduce((total, digit, place) => {
    const value = Number(digit) * (place % 2 === 0 ? 1 : 2);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}

/** Whether a text holds what could be the number of a card. */
export const holdsCardNumber = (text: string): boolean =>
  [...text.matchAll(candidate)].some(([found]) => isLuhn(found.replace(/[ -]/g, "")));
