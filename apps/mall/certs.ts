import { join } from "node:path";
import { parseArgs } from "node:util";
import { readCredentials } from "@mall/kernel/mtls/credentials";
import { isTrustDomain, trustDomainIn } from "@mall/kernel/mtls/spiffe";
import type { CallerName } from "@mall/kernel/topology";
import { ageMs, type CertificateFolder, certificateFolder, certified } from "./certificate-folder";
import { UsageError } from "./usage";

type Print = (line: string) => void;

/** What the commands work with; a test waits for less. */
export interface CertsContext {
  print: Print;
  /** Folder of the data of this mall. */
  dataDir: string;
  /** Milliseconds after which every process that reads the folder has seen a change of it. */
  settleMs: number;
  now: () => Date;
}

const hoursDefault = 24;
/** A week: what is stolen is soon worth nothing. */
const hoursMax = 168;
const trustDomainDefault = "mall.internal";

const options = {
  dir: { type: "string" },
  hours: { type: "string" },
  "trust-domain": { type: "string" },
} as const;

function read(args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

type Given = ReturnType<typeof read>["values"];

function hoursOf({ hours }: Given): number {
  if (hours === undefined) return hoursDefault;
  const value = Number(hours);
  if (!(value > 0 && value <= hoursMax))
    throw new UsageError(`--hours is more than 0 and at most ${hoursMax}`);
  return value;
}

function nameOf(text: string): CallerName {
  const name = certified.find((known) => known === text);
  if (!name) throw new UsageError(`certificates are for ${certified.join(", ")}`);
  return name;
}

/** Issues for these services. */
async function issueFor(
  folder: CertificateFolder,
  names: readonly CallerName[],
  given: Given,
  context: CertsContext,
) {
  const hours = hoursOf(given);
  for (const name of names) await folder.issue(name, hours, context.now());
  context.print(`issued for ${hours} h: ${names.join(", ")}`);
}

async function init(folder: CertificateFolder, given: Given, context: CertsContext): Promise<number> {
  const trustDomain = given["trust-domain"] ?? trustDomainDefault;
  if (!isTrustDomain(trustDomain))
    throw new UsageError("--trust-domain is lower-case letters, digits and . _ -");
  if (folder.authorities().length > 0) {
    context.print(`${folder.path} has an authority already; certs rotate ca-begin makes another one`);
    return 1;
  }
  hoursOf(given);
  await folder.addAuthority(trustDomain, context.now());
  context.print(`made an authority for spiffe://${trustDomain} in ${folder.path}`);
  await issueFor(folder, certified, given, context);
  const files = Object.entries(folder.files("order")).map(([name, path]) => `${name}=${path}`);
  context.print(`the process of order starts with ${files.join(" ")}`);
  return 0;
}

/** Waits until whoever reads a file has seen its last change. */
async function settled(path: string, { settleMs, now }: CertsContext): Promise<void> {
  const leftMs = settleMs - ageMs(path, now());
  if (leftMs > 0) await Bun.sleep(leftMs);
}

async function rotateLeaves(folder: CertificateFolder, given: Given, context: CertsContext): Promise<number> {
  // nobody may show a certificate of an authority that its peers do not know yet
  await settled(join(folder.path, "ca.pem"), context);
  await issueFor(folder, folder.names(), given, context);
  return 0;
}

async function beginAuthority(folder: CertificateFolder, context: CertsContext): Promise<number> {
  const [first, second] = folder.authorities();
  if (second !== undefined) {
    context.print("two authorities are trusted already; go on with certs rotate and certs rotate ca-end");
    return 1;
  }
  const trustDomain = trustDomainIn(folder.authority(first!).subjectAltName)!;
  const number = await folder.addAuthority(trustDomain, context.now());
  context.print(
    `authorities ${first} and ${number} are trusted; next: certs rotate, then certs rotate ca-end`,
  );
  return 0;
}

async function endAuthority(folder: CertificateFolder, context: CertsContext): Promise<number> {
  const newest = folder.authorities().at(-1);
  const old = folder.names().filter((name) => folder.issuerOf(name) !== newest);
  if (old.length > 0) {
    context.print(
      `these still have a certificate of an older authority, certs rotate changes that: ${old.join(", ")}`,
    );
    return 1;
  }
  for (const name of folder.names()) await settled(folder.files(name).TLS_CERT, context);
  folder.trustNewest();
  context.print(`only authority ${newest} is trusted now; older certificates are refused within seconds`);
  return 0;
}

async function rotate(folder: CertificateFolder, what: string, given: Given, context: CertsContext) {
  if (what === "leaves") return rotateLeaves(folder, given, context);
  if (what === "ca-begin") return beginAuthority(folder, context);
  if (what === "ca-end") return endAuthority(folder, context);
  throw new UsageError("certs rotate knows leaves, ca-begin and ca-end");
}

/** What is wrong with a service's files; empty when they are good. */
function troubleWith(folder: CertificateFolder, name: CallerName, now: Date): string {
  try {
    const found = readCredentials(folder.files(name), now).name;
    return found === name ? "" : `is the certificate of ${found}`;
  } catch (error) {
    return (error as Error).message;
  }
}

function list(folder: CertificateFolder, { print, now }: CertsContext): number {
  for (const number of folder.authorities()) {
    const { subjectAltName, validTo } = folder.authority(number);
    print(
      `authority ${number}  ${subjectAltName?.replace("URI:", "")}  ends ${new Date(validTo).toISOString()}`,
    );
  }
  let troubles = 0;
  for (const name of folder.names()) {
    const { subjectAltName, validTo } = folder.leaf(name);
    const trouble = troubleWith(folder, name, now());
    if (trouble) troubles++;
    const by = `by ${folder.issuerOf(name) ?? "nobody here"}`;
    const ends = `ends ${new Date(validTo).toISOString()}`;
    print(
      `${name.padEnd(10)} ${subjectAltName?.replace("URI:", "")}  ${by}  ${ends}${trouble && `  ${trouble}`}`,
    );
  }
  return troubles > 0 ? 1 : 0;
}

/** `mall -- certs …`. Returns the exit code; throws UsageError for what it does not know. */
export async function certsCommand([verb, ...args]: string[], context: CertsContext): Promise<number> {
  const { values: given, positionals } = read(args);
  const folder = certificateFolder(given.dir ?? join(context.dataDir, "certs"));
  if (verb === "init" && positionals.length === 0) return init(folder, given, context);
  if (!["issue", "rotate", "list"].includes(verb ?? ""))
    throw new UsageError("certs knows init, issue, rotate and list");
  if (folder.authorities().length === 0) {
    context.print(`there is no authority in ${folder.path}; certs init makes one`);
    return 1;
  }
  if (verb === "list" && positionals.length === 0) return list(folder, context);
  if (verb === "rotate" && positionals.length <= 1)
    return rotate(folder, positionals[0] ?? "leaves", given, context);
  if (verb !== "issue" || positionals.length === 0)
    throw new UsageError(`certs ${verb}: ${positionals.join(" ")}`);
  await issueFor(folder, positionals.map(nameOf), given, context);
  return 0;
}
