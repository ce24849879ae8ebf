import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { type SpiffeName, spiffeNameIn } from "./spiffe";

/** Paths of the files that make a process known to its neighbours, each as PEM. */
export interface TlsFiles {
  /** Every authority that is trusted. */
  readonly TLS_CA: string;
  readonly TLS_CERT: string;
  readonly TLS_KEY: string;
}

/** What the files hold, checked. */
export interface Credentials extends SpiffeName {
  /** The authorities, a PEM text each. */
  readonly ca: string[];
  readonly authorities: readonly X509Certificate[];
  readonly cert: string;
  readonly key: string;
  readonly validFrom: Date;
  readonly validTo: Date;
  /** The same for the same files. */
  readonly digest: string;
}

/** What a certificate is used for. */
export type Usage = "server" | "client";

const usageIds: Record<Usage, string> = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" };

/** What is wrong with a file, as a sentence that names its variable. */
export class Unfit extends Error {}

/** A file's text. `forbidden` are the permissions it must not have; `why` says what they would let others do. */
export function textOf(variable: string, path: string, forbidden: number, why: string): string {
  try {
    const mode = statSync(path).mode & 0o777;
    if (mode & forbidden)
      throw new Unfit(
        `${variable}: ${path} can be ${why} by others (mode ${mode.toString(8)}); chmod ${(mode & ~forbidden).toString(8)} it`,
      );
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Unfit) throw error;
    throw new Unfit(`${variable}: ${path} cannot be read (${(error as { code?: string }).code})`);
  }
}

/** The certificates in the text of a file, in their order. */
export function certificatesIn(variable: string, path: string, text: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Unfit(`${variable}: ${path} holds no certificate`);
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    throw new Unfit(`${variable}: ${path} holds a certificate that cannot be read`);
  }
}

const holdsAt = ({ validFrom, validTo }: X509Certificate, now: Date): boolean =>
  new Date(validFrom) <= now && now < new Date(validTo);

/** Whether one of these authorities has issued a certificate; an authority that has ended has issued nothing. */
const isIssuedBy = (
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
  now: Date,
): boolean =>
  authorities.some(
    (authority) =>
      holdsAt(authority, now) &&
      certificate.checkIssued(authority) &&
      certificate.verify(authority.publicKey),
  );

/** Who a certificate speaks for, or why nobody believes it. */
export type Verdict = (SpiffeName & { readonly validTo: Date }) | { readonly refusal: string };

/**
 * Decides on a certificate beyond what the TLS handshake did, so that the decision can be made again for a connection
 * that is open. It must be a leaf, issued directly by one of the authorities, be valid now, be meant for each of these
 * usages, and have the SPIFFE id of a service as its one alternative name.
 */
export function judge(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
  usages: readonly Usage[],
  now: Date,
): Verdict {
  if (certificate.ca) return { refusal: "is that of an authority" };
  if (!holdsAt(certificate, now)) return { refusal: "is not valid at this time" };
  if (!isIssuedBy(certificate, authorities, now)) return { refusal: "is of no authority in TLS_CA" };
  const missing = usages.find((usage) => !certificate.keyUsage?.includes(usageIds[usage]));
  if (missing) return { refusal: `is not meant for a ${missing}` };
  const spiffe = spiffeNameIn(certificate.subjectAltName);
  if (!spiffe) return { refusal: "has not exactly one alternative name which is a service's SPIFFE id" };
  return { ...spiffe, validTo: new Date(certificate.validTo) };
}

/** The private key in a file's text. */
export function privateKeyOf(variable: string, path: string, text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch {
    throw new Unfit(`${variable}: ${path} holds no private key`);
  }
}

/**
 * Reads and checks the files. Throws Error with a sentence that names the variable when one is missing, unreadable,
 * open to others, or when they do not make a service's identity together.
 */
export function readCredentials({ TLS_CA, TLS_CERT, TLS_KEY }: TlsFiles, now: Date): Credentials {
  const key = textOf("TLS_KEY", TLS_KEY, 0o077, "read");
  const caText = textOf("TLS_CA", TLS_CA, 0o022, "changed");
  const certText = textOf("TLS_CERT", TLS_CERT, 0o022, "changed");
  const authorities = certificatesIn("TLS_CA", TLS_CA, caText);
  if (!authorities.every(({ ca }) => ca))
    throw new Unfit(`TLS_CA: ${TLS_CA} holds a certificate that is no authority's`);
  const [certificate] = certificatesIn("TLS_CERT", TLS_CERT, certText) as [X509Certificate];
  if (!certificate.checkPrivateKey(privateKeyOf("TLS_KEY", TLS_KEY, key)))
    throw new Unfit(`TLS_KEY: ${TLS_KEY} is not the key of the certificate in TLS_CERT`);
  const verdict = judge(certificate, authorities, ["server", "client"], now);
  if ("refusal" in verdict) throw new Unfit(`TLS_CERT: the certificate in ${TLS_CERT} ${verdict.refusal}`);
  return {
    ...verdict,
    ca: authorities.map((authority) => authority.toString()),
    authorities,
    cert: certificate.toString(),
    key,
    validFrom: new Date(certificate.validFrom),
    digest: createHash("sha256").update(`${caText}\n${certText}\n${key}`).digest("hex"),
  };
}
