import { X509Certificate } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { createAuthority, issueLeaf, type Pair } from "@mall/kernel/mtls/authority";
import type { TlsFiles } from "@mall/kernel/mtls/credentials";
import { spiffeIdOf, trustDomainIn } from "@mall/kernel/mtls/spiffe";
import { type CallerName, serviceNames } from "@mall/kernel/topology";

/** Everybody who has a certificate. */
export const certified: readonly CallerName[] = [...serviceNames, "gateway"];

const authorityDays = 365;
const hourMs = 3_600_000;
/** A machine whose clock is behind believes a new certificate all the same. */
const clockSkewMs = 5 * 60_000;

/**
 * Certificates of a mall as files: `ca.pem` is what all trust, `<service>/` has what one process needs, and
 * `authorities/<n>/` what issues them, which goes to no other machine. The newest authority issues.
 */
export interface CertificateFolder {
  readonly path: string;
  /** Numbers of the authorities that are trusted, the newest last. */
  authorities(): number[];
  authority(number: number): X509Certificate;
  files(name: CallerName): TlsFiles;
  /** Who has a certificate here. */
  names(): CallerName[];
  leaf(name: CallerName): X509Certificate;
  /** Number of the authority that issued a service's certificate; undefined when it is gone. */
  issuerOf(name: CallerName): number | undefined;
  /** Makes one more authority, trusted from now on beside those that are there. Returns its number. */
  addAuthority(trustDomain: string, now: Date): Promise<number>;
  /** Trusts the newest authority only; the keys of the others stay, out of use, in `authorities/`. */
  trustNewest(): void;
  /** A new key and certificate in the place of what the service had. */
  issue(name: CallerName, hours: number, now: Date): Promise<void>;
}

/** A whole file in the place of another, never readable by more than `mode` says. */
function put(path: string, text: string, mode: number): void {
  const beside = `${path}.${process.pid}.new`;
  writeFileSync(beside, text, { mode, flag: "wx" });
  renameSync(beside, path);
}

function putPair(folder: string, { certificate, key }: Pair): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  put(join(folder, "key.pem"), key, 0o600);
  put(join(folder, "cert.pem"), certificate, 0o644);
}

const readPair = (folder: string): Pair => ({
  certificate: readFileSync(join(folder, "cert.pem"), "utf8"),
  key: readFileSync(join(folder, "key.pem"), "utf8"),
});

/** The folder at a path, which is made with its first authority. */
export function certificateFolder(path: string): CertificateFolder {
  const ca = join(path, "ca.pem");
  const authorityPath = (number: number) => join(path, "authorities", String(number));
  const authorityOf = (number: number) => new X509Certificate(readPair(authorityPath(number)).certificate);

  const all = (): number[] =>
    existsSync(join(path, "authorities"))
      ? readdirSync(join(path, "authorities"))
          .map(Number)
          .toSorted((a, b) => a - b)
      : [];

  /** Those whose certificate is in ca.pem. */
  function trusted(): number[] {
    if (!existsSync(ca)) return [];
    const text = readFileSync(ca, "utf8");
    return all().filter((number) => text.includes(readPair(authorityPath(number)).certificate));
  }

  const trust = (numbers: readonly number[]) =>
    put(ca, numbers.map((number) => readPair(authorityPath(number)).certificate).join(""), 0o644);

  const leaf = (name: CallerName) => new X509Certificate(readFileSync(join(path, name, "cert.pem")));

  return {
    path,
    authorities: trusted,
    authority: authorityOf,
    leaf,
    files: (name) => ({
      TLS_CA: ca,
      TLS_CERT: join(path, name, "cert.pem"),
      TLS_KEY: join(path, name, "key.pem"),
    }),
    names: () => certified.filter((name) => existsSync(join(path, name, "cert.pem"))),
    issuerOf: (name) =>
      all().find((number) => {
        const authority = authorityOf(number);
        return leaf(name).checkIssued(authority) && leaf(name).verify(authority.publicKey);
      }),
    async addAuthority(trustDomain, now) {
      const number = (all().at(-1) ?? 0) + 1;
      const before = trusted();
      const commonName = `EdgeMall CA ${number}`;
      const to = new Date(now.getTime() + authorityDays * 24 * hourMs);
      const from = new Date(now.getTime() - clockSkewMs);
      // the folder above may hold what others read
      mkdirSync(dirname(path), { recursive: true });
      mkdirSync(path, { recursive: true, mode: 0o700 });
      put(join(path, ".gitignore"), "*\n", 0o644);
      putPair(authorityPath(number), await createAuthority({ commonName, trustDomain, from, to }));
      trust([...before, number]);
      return number;
    },
    trustNewest: () => trust(trusted().slice(-1)),
    async issue(name, hours, now) {
      const newest = trusted().at(-1)!;
      const trustDomain = trustDomainIn(authorityOf(newest).subjectAltName)!;
      const made = await issueLeaf(readPair(authorityPath(newest)), {
        commonName: name,
        uris: [spiffeIdOf({ trustDomain, name })],
        usages: ["server", "client"],
        from: new Date(now.getTime() - clockSkewMs),
        to: new Date(now.getTime() + hours * hourMs),
      });
      putPair(join(path, name), made);
    },
  };
}

/** Milliseconds since a file was changed. */
export const ageMs = (path: string, now: Date): number => now.getTime() - statSync(path).mtimeMs;
