// the library's containers look for it
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** A certificate and its private key, both as PEM. */
export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

/** From when until when a certificate holds. */
export interface Lifetime {
  readonly from: Date;
  readonly to: Date;
}

export interface LeafOptions extends Lifetime {
  /** Shown to people; nobody decides by it. */
  readonly commonName: string;
  /** URIs in the alternative names; a service has one, its SPIFFE id. */
  readonly uris: readonly string[];
  readonly usages: readonly (keyof typeof usageIds)[];
}

const usageIds = { server: ExtendedKeyUsage.serverAuth, client: ExtendedKeyUsage.clientAuth };
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

const newKeys = () => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);

/** 127 random bits: positive, and never the same twice. */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0]! &= 0x7f;
  return Buffer.from(bytes).toString("hex");
}

async function pairOf(certificate: X509Certificate, keys: CryptoKeyPair): Promise<Pair> {
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certificate: `${certificate.toString("pem")}\n`,
    key: `${PemConverter.encode(key, "PRIVATE KEY")}\n`,
  };
}

export interface AuthorityOptions extends Lifetime {
  /** Shown to people. */
  readonly commonName: string;
  /** Whose services it issues certificates for; written into it as SPIFFE wants it. */
  readonly trustDomain: string;
}

/** A new authority (ECDSA P-256), which signs itself and issues leaves only. */
export async function createAuthority({
  commonName,
  trustDomain,
  from,
  to,
}: AuthorityOptions): Promise<Pair> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [commonName] }],
    notBefore: from,
    notAfter: to,
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new SubjectAlternativeNameExtension([{ type: "url", value: `spiffe://${trustDomain}` }]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return pairOf(certificate, keys);
}

/** A new key (ECDSA P-256) and the certificate for it that an authority issues. */
export async function issueLeaf(authority: Pair, options: LeafOptions): Promise<Pair> {
  const keys = await newKeys();
  const issuer = new X509Certificate(authority.certificate);
  const [raw] = PemConverter.decode(authority.key);
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
  ];
  const { commonName, uris, usages, from, to } = options;
  if (usages.length > 0)
    extensions.push(new ExtendedKeyUsageExtension(usages.map((usage) => usageIds[usage])));
  if (uris.length > 0)
    extensions.push(
      new SubjectAlternativeNameExtension(uris.map((value) => ({ type: "url" as const, value }))),
    );
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    issuer: issuer.subjectName,
    subject: [{ CN: [commonName] }],
    notBefore: from,
    notAfter: to,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: await crypto.subtle.importKey("pkcs8", raw!, algorithm, false, ["sign"]),
    extensions,
  });
  return pairOf(certificate, keys);
}
