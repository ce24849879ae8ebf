import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jsonLog } from "../log";
import { createAuthority, issueLeaf, type LeafOptions, type Pair } from "../mtls/authority";
import type { TlsFiles } from "../mtls/credentials";
import { type LiveCredentials, liveCredentials } from "../mtls/live";
import { spiffeIdOf } from "../mtls/spiffe";
import type { CallerName } from "../topology";
import { atEnd } from "./cleanup";

export const trustDomain = "test.mall";
const hourMs = 3_600_000;

/** A date that many hours from now. */
export const hoursFromNow = (hours: number): Date => new Date(Date.now() + hours * hourMs);

export const newAuthority = (commonName = "Test CA"): Promise<Pair> =>
  createAuthority({ commonName, trustDomain, from: hoursFromNow(-1), to: hoursFromNow(24) });

/** A good certificate of a service, or one that differs from it in what is given. */
export const newLeaf = (authority: Pair, name: CallerName, other: Partial<LeafOptions> = {}): Promise<Pair> =>
  issueLeaf(authority, {
    commonName: name,
    uris: [spiffeIdOf({ trustDomain, name })],
    usages: ["server", "client"],
    from: hoursFromNow(-1),
    to: hoursFromNow(1),
    ...other,
  });

/** The files of one process, which can be changed as an operator would. */
export interface TestFiles extends TlsFiles {
  trust(...authorities: Pair[]): void;
  take(leaf: Pair): void;
}

/** Puts a whole file in the place of another, as careful tools do. */
export function replaceFile(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode });
  renameSync(`${path}.new`, path);
}

/** Files in a folder of their own, which is deleted after the tests. */
export function testFiles(authorities: readonly Pair[], leaf: Pair): TestFiles {
  const folder = mkdtempSync(join(tmpdir(), "mall-mtls-"));
  atEnd(async () => rmSync(folder, { recursive: true, force: true }));
  const files: TestFiles = {
    TLS_CA: join(folder, "ca.pem"),
    TLS_CERT: join(folder, "cert.pem"),
    TLS_KEY: join(folder, "key.pem"),
    trust: (...all) => replaceFile(files.TLS_CA, all.map(({ certificate }) => certificate).join(""), 0o644),
    take({ certificate, key }) {
      replaceFile(files.TLS_KEY, key, 0o600);
      replaceFile(files.TLS_CERT, certificate, 0o644);
    },
  };
  files.trust(...authorities);
  files.take(leaf);
  return files;
}

/** Credentials that look at their files every 20 ms. */
export function testCredentials(files: TlsFiles, clock: () => Date = () => new Date()): LiveCredentials {
  const live = liveCredentials(files, { log: jsonLog("test", "silent"), clock, everyMs: 20 });
  atEnd(async () => live.stop());
  return live;
}
