import { createHash, type X509Certificate } from "node:crypto";
import { incompleteEnv } from "../env";
import type { Log } from "../log";
import { certificatesIn, privateKeyOf, textOf, Unfit } from "./credentials";
import { type Live, liveFiles } from "./live";

/** What the gateway shows to browsers and other clients: a certificate that any authority issued, and its key. */
export interface EdgeCertificate {
  /** The certificate and those of the authorities between it and the root, PEM. */
  readonly cert: string;
  readonly key: string;
  readonly validFrom: Date;
  readonly validTo: Date;
  readonly digest: string;
}

/** Where they are. */
export interface EdgeTlsFiles {
  readonly EDGE_TLS_CERT: string;
  readonly EDGE_TLS_KEY: string;
}

/**
 * Reads and checks the files. Throws Error with a sentence that names the variable when one cannot be read, is open to
 * others, or is not of the other.
 */
function readEdgeCertificate({ EDGE_TLS_CERT, EDGE_TLS_KEY }: EdgeTlsFiles): EdgeCertificate {
  const key = textOf("EDGE_TLS_KEY", EDGE_TLS_KEY, 0o077, "read");
  const cert = textOf("EDGE_TLS_CERT", EDGE_TLS_CERT, 0o022, "changed");
  const [certificate] = certificatesIn("EDGE_TLS_CERT", EDGE_TLS_CERT, cert) as [X509Certificate];
  if (!certificate.checkPrivateKey(privateKeyOf("EDGE_TLS_KEY", EDGE_TLS_KEY, key)))
    throw new Unfit(`EDGE_TLS_KEY: ${EDGE_TLS_KEY} is not the key of the certificate in EDGE_TLS_CERT`);
  return {
    ...{ cert, key },
    validFrom: new Date(certificate.validFrom),
    validTo: new Date(certificate.validTo),
    digest: createHash("sha256").update(`${cert}\n${key}`).digest("hex"),
  };
}

/**
 * The certificate of the gateway, which follows its files; undefined when none are named and TLS ends elsewhere. Throws
 * Error with a sentence when only one is named or they cannot be used.
 */
export function edgeCertificate(
  { EDGE_TLS_CERT, EDGE_TLS_KEY }: EdgeTlsFiles,
  log: Log,
  everyMs?: number,
): Live<EdgeCertificate> | undefined {
  const files = { EDGE_TLS_CERT, EDGE_TLS_KEY };
  const missing = Object.entries(files).flatMap(([name, path]) => (path === "" ? [name] : []));
  if (missing.length === 2) return undefined;
  if (missing.length > 0) throw incompleteEnv([`${missing[0]}: must be set when the other EDGE_TLS_* is`]);
  try {
    const clock = () => new Date();
    return liveFiles(Object.values(files), () => readEdgeCertificate(files), { log, clock, everyMs });
  } catch (error) {
    throw incompleteEnv([(error as Error).message]);
  }
}
