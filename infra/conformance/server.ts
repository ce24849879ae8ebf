import { create, createFileRegistry, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { serveGrpc, serveHttp } from "@mall/kernel/host/bun";
import { serveGrpcs, serveHttps } from "@mall/kernel/host/https";
import type { EdgeCertificate } from "@mall/kernel/mtls/edge";
import type { Live } from "@mall/kernel/mtls/live";
import { conformanceServer } from "./service";

/*
 * bun infra/conformance/server.ts http1|http2|workerd    one server under test, as the runner of the suite starts it: reads a
 * ServerCompatRequest from stdin, writes a ServerCompatResponse to stdout, both with their length before them.
 */

interface Wanted {
  useTls: boolean;
  serverCreds?: { cert: Uint8Array; key: Uint8Array };
}

const host = "127.0.0.1";
const descriptors = await Bun.file(process.env.CONFORMANCE_DESCRIPTORS!).bytes();
const types = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
const messageOf = (name: string) => types.getMessage(`connectrpc.conformance.v1.${name}`)!;

/** The first message on stdin. */
async function received(): Promise<Wanted> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of Bun.stdin.stream()) {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE()) break;
  }
  const message = fromBinary(messageOf("ServerCompatRequest"), bytes.subarray(4, 4 + bytes.readUInt32BE()));
  return message as Message as Message & Wanted;
}

function fixed({ serverCreds }: Wanted): Live<EdgeCertificate> {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
  const always = { validFrom: new Date(0), validTo: new Date(0), digest: "" };
  const { cert, key } = serverCreds!;
  return { current: { cert: text(cert), key: text(key), ...always }, onChange: () => {}, stop: () => {} };
}

const missing = async () => new Response(null, { status: 404 });

/** Listens as the mall does. Returns the port. */
async function listen(mount: string, wanted: Wanted): Promise<number> {
  const rpc = conformanceServer(descriptors);
  if (mount === "http1") {
    const answer = (request: Request) => rpc.fetch(request) ?? missing();
    const server = wanted.useTls ? serveHttps(answer, fixed(wanted), 0, host) : serveHttp(answer, 0, host);
    return (await server).port!;
  }
  if (mount === "http2") {
    const server = wanted.useTls
      ? serveGrpcs(rpc.routes, missing, fixed(wanted), 0, host)
      : serveGrpc(rpc.routes, missing, 0, host);
    return (await server).port;
  }
  // one workerd for all: it has no settings of its own; this process is there until the runner ends it
  setInterval(() => {}, 60_000);
  return Number(process.env.CONFORMANCE_WORKER_PORT);
}

const wanted = await received();
const port = await listen(process.argv[2]!, wanted);
const pemCert = wanted.useTls ? wanted.serverCreds!.cert : new Uint8Array();
const schema = messageOf("ServerCompatResponse");
const answer = Buffer.from(toBinary(schema, create(schema, { host, port, pemCert } as never)));
const length = Buffer.alloc(4);
length.writeUInt32BE(answer.length);
await Bun.write(Bun.stdout, Buffer.concat([length, answer]));
