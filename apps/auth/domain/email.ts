const lengthMax = 254;
const domainChars = /^[\p{L}\p{M}\p{N}.-]+$/u;
const asciiDomain = /^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*$/;
const localPart = /^[^\s\p{Cc}\p{Cf}\p{Cs}@"(),:;<>[\]\\]+$/u;

/** The ASCII form of a domain (UTS #46), undefined when it is none; numbers of an IP address are none. */
function asciiOf(domain: string): string | undefined {
  if (!domainChars.test(domain) || !URL.canParse(`http://${domain}`)) return undefined;
  const { hostname } = new URL(`http://${domain}`);
  return asciiDomain.test(hostname) && !/(^|\.)[0-9]+$/.test(hostname) ? hostname : undefined;
}

/**
 * The one form an e-mail address is stored, compared and looked up in: trimmed, NFC, lower case, an international
 * domain in ASCII. Undefined when the text is no address of at most 254 characters.
 */
export function normalEmail(text: string): string | undefined {
  const parts = text.trim().normalize("NFC").toLowerCase().normalize("NFC").split("@");
  const [local, domain] = parts;
  if (parts.length !== 2 || !local || !domain || !localPart.test(local)) return undefined;
  // wide, ligated or mathematical letters only look like the ones that the mailbox has
  if (local !== local.normalize("NFKC")) return undefined;
  const ascii = asciiOf(domain);
  const email = `${local}@${ascii}`;
  return ascii && email.length <= lengthMax ? email : undefined;
}
