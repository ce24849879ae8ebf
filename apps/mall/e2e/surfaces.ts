import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  fromJson,
  type JsonObject,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { type FaultInfo, FaultInfoSchema } from "@mall/gen/mall/common/v1/fault_pb";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";
import { host, hostKind } from "./host";
import { connect, type Options, rest } from "./shop";

/** An answer of any surface in the same form. */
export interface Reply {
  /** HTTP status, where the surface has one of its own. */
  status?: number;
  /** Connect's code by name, "ok" without an error; the HTTP status says it on REST. */
  code?: string;
  /** Of a refusal. */
  reason: string;
  fault?: { requestId: string; metadata: Record<string, string>; fields: string[] };
  /** The body as it came. */
  bytes: string;
  /** The decoded message of a success. */
  message?: JsonObject;
  isReplay: boolean;
  retryAfter: string | null;
}

export type Surface = "rest" | "connect" | "grpc";
export const surfaces: readonly Surface[] =
  hostKind === "edge" ? ["rest", "connect"] : ["rest", "connect", "grpc"];

const jsonOptions = { alwaysEmitImplicit: true } as const;
const json = (desc: DescMessage, value: JsonObject) =>
  toJson(desc, fromJson(desc, value), jsonOptions) as JsonObject;

function faultOf({ requestId, metadata, violations }: FaultInfo): Reply["fault"] {
  return { requestId, metadata, fields: violations.map((v) => v.parameter || v.pointer) };
}

async function overRest(method: DescMethod, message: JsonObject, options: Options): Promise<Reply> {
  const rule = httpRuleOf(method)!;
  const body = { ...message };
  let path = rule.pattern;
  for (const field of rule.pathFields) {
    path = path.replace(`:${field.name}`, encodeURIComponent(String(body[field.jsonName])));
    delete body[field.jsonName];
  }
  const query = rule.hasBody ? "" : `?${new URLSearchParams(body as Record<string, string>)}`;
  const answer = await rest<JsonObject>(
    rule.verb.toUpperCase(),
    path + query,
    rule.hasBody ? body : undefined,
    options,
  );
  const refused = answer.status >= 400;
  const errors = (answer.body.errors ?? []) as { parameter?: string; pointer?: string }[];
  return {
    status: answer.status,
    reason: refused ? String(answer.body.reason) : "",
    fault: refused
      ? {
          requestId: String(answer.body.instance).replace("urn:uuid:", ""),
          metadata: answer.body.metadata as Record<string, string>,
          fields: errors.map((e) => e.parameter ?? e.pointer ?? ""),
        }
      : undefined,
    bytes: answer.text,
    message: refused ? undefined : json(method.output, answer.body),
    isReplay: answer.headers.get("idempotent-replayed") === "true",
    retryAfter: answer.headers.get("retry-after"),
  };
}

async function overConnect(method: DescMethod, message: JsonObject, options: Options): Promise<Reply> {
  const answer = await connect<JsonObject>(`${method.parent.typeName}/${method.name}`, message, options);
  const refused = answer.status !== 200;
  const details = (answer.body.details ?? []) as { type: string; value: string }[];
  const detail = details.find(({ type }) => type === FaultInfoSchema.typeName);
  const info = detail && fromBinary(FaultInfoSchema, Buffer.from(detail.value, "base64"));
  return {
    code: refused ? String(answer.body.code) : "ok",
    reason: info?.reason ?? "",
    fault: info && faultOf(info),
    bytes: answer.text,
    message: refused ? undefined : json(method.output, answer.body),
    isReplay: answer.headers.get("idempotent-replayed") === "true",
    retryAfter: answer.headers.get("retry-after"),
  };
}

/** The FaultInfo in a google.rpc.Status: field 3 holds details of type google.protobuf.Any. */
function statusFault(bytes: Uint8Array): FaultInfo | undefined {
  const fields = (data: Uint8Array): [number, Uint8Array][] => {
    const reader = new BinaryReader(data);
    const found: [number, Uint8Array][] = [];
    while (reader.pos < reader.len) {
      const [number, type] = reader.tag();
      if (type === 2) found.push([number, reader.bytes()]);
      else reader.skip(type, number);
    }
    return found;
  };
  for (const [, detail] of fields(bytes).filter(([number]) => number === 3)) {
    const any = new Map(fields(detail));
    const typeUrl = Buffer.from(any.get(1) ?? []).toString();
    if (typeUrl.endsWith(FaultInfoSchema.typeName)) return fromBinary(FaultInfoSchema, any.get(2)!);
  }
  return undefined;
}

const headersOf = ({ token, cartSecret, orderSecret, key, headers }: Options) =>
  Object.entries({
    authorization: token && `Bearer ${token}`,
    "x-cart-secret": cartSecret,
    "x-order-secret": orderSecret,
    "idempotency-key": key,
    ...headers,
  }).filter((header): header is [string, string] => header[1] !== undefined);

let grpcClient: Promise<Client> | undefined;
const clientOfHost = async () => new Client((await host()).grpc!, credentials.createInsecure());

async function overGrpc(method: DescMethod, message: JsonObject, options: Options): Promise<Reply> {
  grpcClient ??= clientOfHost();
  const client = await grpcClient;
  const sent = new Metadata();
  for (const [name, value] of headersOf(options)) sent.set(name, value);
  const request = Buffer.from(toBinary(method.input, fromJson(method.input, message)));
  return new Promise((resolve) => {
    let header = new Metadata();
    const said = (metadata: Metadata, name: string) => metadata.get(name)[0]?.toString() ?? null;
    const call = client.makeUnaryRequest(
      `/${method.parent.typeName}/${method.name}`,
      (value: Buffer) => value,
      (value: Buffer) => value,
      request,
      sent,
      { deadline: Date.now() + 30_000 },
      (error: ServiceError | null, answer?: Buffer) => {
        const trailer = error?.metadata ?? new Metadata();
        const details = trailer.get("grpc-status-details-bin")[0] as Buffer | undefined;
        const info = details && statusFault(details);
        const output =
          answer && (toJson(method.output, fromBinary(method.output, answer), jsonOptions) as JsonObject);
        resolve({
          code: error ? status[error.code]!.toLowerCase() : "ok",
          reason: info?.reason ?? "",
          fault: info && faultOf(info),
          bytes: answer ? answer.toString("hex") : `${error?.details} ${details?.toString("hex")}`,
          message: output,
          isReplay: (said(header, "idempotent-replayed") ?? said(trailer, "idempotent-replayed")) === "true",
          retryAfter: said(header, "retry-after") ?? said(trailer, "retry-after"),
        });
      },
    );
    call.on("metadata", (metadata: Metadata) => {
      header = metadata;
    });
  });
}

/** Calls a method on a surface with its request in ProtoJSON. */
export const send = (
  surface: Surface,
  method: DescMethod,
  message: JsonObject,
  options: Options,
): Promise<Reply> =>
  ({ rest: overRest, connect: overConnect, grpc: overGrpc })[surface](method, message, options);

/** A message of a method as every surface decodes it; throws when the contract has no such field. */
export const decoded = (method: DescMethod, message: JsonObject) =>
  create(method.input, fromJson(method.input, message));
