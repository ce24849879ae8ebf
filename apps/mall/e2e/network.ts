import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jsonLog } from "@mall/kernel/log";
import { mtlsDial } from "@mall/kernel/mtls/dial";
import { liveCredentials } from "@mall/kernel/mtls/live";
import { atEnd } from "@mall/kernel/testing/cleanup";
import type { CallerName, ServiceName } from "@mall/kernel/topology";
import { type CertificateFolder, certificateFolder, certified } from "../certificate-folder";

/** Where a process listens. */
export interface Ports {
  port: number;
  grpcPort: number;
}

/** How the processes of the mall under test talk to each other. */
export interface Network {
  /** What a process needs for it in its environment. */
  envOf(name: CallerName): Record<string, string>;
  /** Origin at which others reach a process. */
  originOf(ports: Ports): string;
  /** Sends a request to a process of a service as the process of a caller would; the token is the request's. */
  send(caller: CallerName, service: ServiceName, request: Request): Promise<Response>;
  /** Everybody's certificates, which can be changed while the mall runs; undefined without mutual TLS. */
  certificates?: CertificateFolder;
}

const plain: Network = {
  envOf: () => ({}),
  originOf: ({ port }) => `http://127.0.0.1:${port}`,
  send: (_caller, _service, request) => fetch(request),
};

/** Mutual TLS with an authority of its own. */
async function mutualTls(): Promise<Network> {
  const path = mkdtempSync(join(tmpdir(), "mall-e2e-certs-"));
  atEnd(async () => rmSync(path, { recursive: true, force: true }));
  const folder = certificateFolder(path);
  await folder.addAuthority("e2e.mall", new Date());
  // the suite speaks for the command line, too
  for (const name of [...certified, "mall"] as const) await folder.issue(name, 1, new Date());
  const clock = () => new Date();
  const dials = new Map<CallerName, ReturnType<typeof mtlsDial>>();
  const dialOf = (caller: CallerName) => {
    const log = jsonLog("e2e", "error");
    const known = dials.get(caller) ?? mtlsDial(liveCredentials(folder.files(caller), { log, clock }), clock);
    dials.set(caller, known);
    return known.dial;
  };
  atEnd(async () => {
    for (const { close } of dials.values()) close();
  });
  return {
    certificates: folder,
    envOf: (name) => ({ ...folder.files(name) }),
    originOf: ({ grpcPort }) => `https://127.0.0.1:${grpcPort}`,
    async send(caller, service, request) {
      const { origin, pathname, search } = new URL(request.url);
      const { method, headers, signal } = request;
      const body = request.body ? await request.arrayBuffer() : undefined;
      const out = { method, path: pathname + search, headers, body, signal };
      return dialOf(caller)({ id: origin, url: origin }, out, service);
    },
  };
}

/** Whether the processes talk by mutual TLS: with MALL_MTLS=1. */
export const isMutual = process.env.MALL_MTLS === "1";

export const newNetwork = async (): Promise<Network> => (isMutual ? mutualTls() : plain);
