import { parseArgs } from "node:util";
import type { Head } from "@mall/kernel/audit/chain";
import { type AuditEvent, type AuditFilter, listAudit } from "@mall/kernel/audit/list";
import { auditHead, verifyAudit } from "@mall/kernel/audit/verify";
import { baseEnv, parseEnv } from "@mall/kernel/env";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import * as z from "zod";
import type { Mall } from "./mall";
import { serviceOf, UsageError } from "./usage";

type Print = (line: string) => void;

const options = {
  service: { type: "string" },
  actor: { type: "string" },
  subject: { type: "string" },
  action: { type: "string" },
  outcome: { type: "string" },
  since: { type: "string" },
  until: { type: "string" },
  limit: { type: "string" },
  head: { type: "string" },
} as const;

type Given = Partial<Record<keyof typeof options, string>>;

/** Reads `--name value` pairs of these names. Throws UsageError for anything else. */
function readOptions(args: string[], names: readonly (keyof typeof options)[]): Given {
  const allowed = Object.fromEntries(names.map((name) => [name, options[name]]));
  try {
    return parseArgs({ args, options: allowed, allowPositionals: false }).values as Given;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

const keyOf = (mall: Mall, service: ServiceName): string =>
  parseEnv(baseEnv, mall.resourcesOf(service).env).MALL_MASTER_KEY;

const servicesOf = ({ service }: Given): readonly ServiceName[] =>
  service ? [serviceOf(service)] : serviceNames;

const unitsMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** An instant: ISO 8601, or how long ago, such as 90m. */
function instantOf(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const [, count, unit] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  const at = count
    ? new Date(Date.now() - Number(count) * unitsMs[unit as keyof typeof unitsMs])
    : new Date(text);
  if (Number.isNaN(at.getTime()))
    throw new UsageError(`${text} is neither a time nor a duration such as 90m`);
  return at;
}

function filterOf({ outcome, limit = "100", since, until, ...same }: Given): AuditFilter {
  if (outcome !== undefined && outcome !== "ok" && outcome !== "refused")
    throw new UsageError("--outcome is ok or refused");
  if (!/^[1-9][0-9]{0,5}$/.test(limit)) throw new UsageError("--limit is a number from 1 to 999999");
  const { actor, subject, action } = same;
  const times = { since: instantOf(since), until: instantOf(until) };
  return { actor, subject, action, outcome, ...times, limit: Number(limit) };
}

function lineOf(service: ServiceName, event: AuditEvent): string {
  const { actor, subject, clientAddress, requestId, metadata, sequence } = event;
  const fields = { subject, address: clientAddress, request: requestId, ...metadata };
  return [
    ...[event.at, `${service}#${sequence ?? "-"}`, event.action, event.outcome],
    ...(event.reason ? [event.reason] : []),
    `actor=${actor.id ? `${actor.kind}:${actor.id}` : actor.kind}`,
    ...Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])),
  ].join("  ");
}

/** Prints events of one service or of all, newest first. Exit code 0. */
async function list(mall: Mall, args: string[], print: Print): Promise<number> {
  const names = ["service", "actor", "subject", "action", "outcome", "since", "until", "limit"] as const;
  const given = readOptions(args, names);
  const filter = filterOf(given);
  const found = await Promise.all(
    servicesOf(given).map(async (service) => {
      const events = await listAudit(service, keyOf(mall, service), mall.resourcesOf(service).db, filter);
      return events.map((event) => ({ service, event }));
    }),
  );
  const newest = found.flat().sort((a, b) => (a.event.id < b.event.id ? 1 : -1));
  for (const { service, event } of newest.slice(0, filter.limit)) print(lineOf(service, event));
  return 0;
}

/** A head as a line of the file that an operator keeps elsewhere. */
const headLine = z.object({
  service: z.enum(serviceNames as [ServiceName, ...ServiceName[]]),
  sequence: z.int().min(1),
  hash: z.hex().length(64),
  mac: z.hex().length(64),
});

/** Prints the signed end of each log, a line of JSON each; keep them where nobody who owns the database can write. */
async function head(mall: Mall, args: string[], print: Print): Promise<number> {
  for (const service of servicesOf(readOptions(args, ["service"]))) {
    const end = await auditHead(service, mall.resourcesOf(service).db);
    if (!end) continue;
    const [hash, mac] = [end.hash, end.mac].map((bytes) => Buffer.from(bytes).toString("hex"));
    print(JSON.stringify({ service, sequence: end.sequence, hash, mac }));
  }
  return 0;
}

/** The heads in a file. Throws UsageError when it is no such file. */
async function readHeads(file: string): Promise<Map<ServiceName, Head>> {
  const text = await Bun.file(file)
    .text()
    .catch(() => Promise.reject(new UsageError(`${file} cannot be read`)));
  const heads = new Map<ServiceName, Head>();
  for (const line of text.split("\n").filter((one) => one.trim())) {
    try {
      const { service, sequence, hash, mac } = headLine.parse(JSON.parse(line));
      heads.set(service, { sequence, hash: Buffer.from(hash, "hex"), mac: Buffer.from(mac, "hex") });
    } catch {
      throw new UsageError(`${file} is not what \`audit head\` printed`);
    }
  }
  return heads;
}

/** Prints for each log whether it is as it was written, and the first row that is not. Exit code 1 when one is not. */
async function verify(mall: Mall, args: string[], print: Print): Promise<number> {
  const given = readOptions(args, ["service", "head"]);
  const heads = given.head ? await readHeads(given.head) : new Map<ServiceName, Head>();
  let bad = 0;
  for (const service of servicesOf(given)) {
    const { db } = mall.resourcesOf(service);
    const { sealed, pending, firstBad } = await verifyAudit(
      service,
      keyOf(mall, service),
      db,
      heads.get(service),
    );
    const waiting = pending > 0 ? `, ${pending} wait for their seal` : "";
    print(`${service}: ${sealed} events are sealed and unchanged${waiting}`);
    if (firstBad) print(`${service}: first bad row: ${firstBad}`);
    if (firstBad) bad++;
  }
  return bad > 0 ? 1 : 0;
}

/** `audit list|head|verify`. */
export function audit(mall: Mall, [verb, ...args]: string[], print: Print): Promise<number> {
  if (verb === "list") return list(mall, args, print);
  if (verb === "head") return head(mall, args, print);
  if (verb === "verify") return verify(mall, args, print);
  throw new UsageError("audit knows list, head and verify");
}
