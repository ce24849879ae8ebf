/** Words of examples and of software that comes with a password. */
const wellKnown =
  /change[-_ ]?me|placeholder|example|development|your[-_ ]|^(?:password|secret|admin|root|guest|postgres|rabbitmq)\d*$/i;
/** A secret that some tool made has more than a handful of different characters. */
const distinctMin = 5;

/** What is wrong with a secret in production; undefined when nothing is. Never quotes it. */
export function flawOfSecret(secret: string, charactersMin: number): string | undefined {
  if (secret.length < charactersMin) return `must have at least ${charactersMin} characters in production`;
  if (new Set(secret).size < distinctMin) return "must not be the same few characters again and again";
  if (wellKnown.test(secret)) return "must be set to a secret of your own in production";
  return undefined;
}

const passwordMin = 8;

/**
 * What is wrong with the password in an address of a database or broker. One without a password is fine where the server
 * may know its client otherwise; a broker's default is then "guest", so there it has to be given.
 */
export function flawOfPasswordIn(url: string, isPasswordNeeded: boolean): string | undefined {
  if (!URL.canParse(url)) return "must be an address";
  const { username, password } = new URL(url);
  if (password === "") return isPasswordNeeded ? "must name a user and a password in production" : undefined;
  if (password === username) return "must not have the user's name for a password in production";
  const flaw = flawOfSecret(decodeURIComponent(password), passwordMin);
  return flaw && `its password ${flaw}`;
}
