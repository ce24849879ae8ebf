import {
  createFileRegistry,
  type DescMessage,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { type Any, anyPack, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { jsonLog } from "@mall/kernel/log";
import { limits } from "@mall/kernel/rpc/limits";
import { createRpcServer, type Implementation, type RpcServer } from "@mall/kernel/rpc/server";

/*
 * The service that the conformance suite calls, on the mounts that the mall's own services have. Its messages are read from
 * the suite's descriptors when it starts; what is used of them is written down here.
 */

interface Header {
  name: string;
  value: string[];
}

interface ResponseDefinition {
  responseHeaders: Header[];
  responseTrailers: Header[];
  response:
    | { case: "responseData"; value: Uint8Array }
    | { case: "error"; value: { code: Code; message?: string; details: Any[] } }
    | { case: undefined; value?: undefined };
  responseDelayMs: number;
}

type UnaryRequest = Message & { responseDefinition?: ResponseDefinition };

/** Names in their order, each with its values. */
function headersOf(pairs: Iterable<[string, string]>): Header[] {
  const values = new Map<string, string[]>();
  for (const [name, value] of pairs) values.set(name, [...(values.get(name) ?? []), value]);
  return [...values].map(([name, value]) => ({ name, value }));
}

const add = (to: Headers, headers: readonly Header[]): void => {
  for (const { name, value } of headers) for (const one of value) to.append(name, one);
};

/** Every call has a deadline in the mall; this one is set where the client sets none, and is none of the suite's. */
const ownTimeoutMs = limits.timeoutMsMax;

/** Milliseconds that the client has given, of which some may be gone. */
function clientsTimeout(context: HandlerContext): bigint | undefined {
  const leftMs = context.timeoutMs();
  return leftMs === undefined || leftMs > ownTimeoutMs / 2 ? undefined : BigInt(Math.round(leftMs));
}

/** What a handler saw, which the suite compares with what it sent. */
const requestInfo = (context: HandlerContext, request: Any) => ({
  requestHeaders: headersOf(context.requestHeader),
  timeoutMs: clientsTimeout(context),
  requests: [request],
  ...(context.requestMethod === "GET"
    ? { connectGetInfo: { queryParams: headersOf(new URL(context.url).searchParams) } }
    : {}),
});

/** Answers as the request asks for. */
function unary(request: DescMessage, info: DescMessage) {
  return async (message: UnaryRequest, context: HandlerContext) => {
    const seen = requestInfo(context, anyPack(request, message as never));
    const wanted = message.responseDefinition;
    if (!wanted) return { payload: { requestInfo: seen } };
    add(context.responseHeader, wanted.responseHeaders);
    add(context.responseTrailer, wanted.responseTrailers);
    await new Promise((resolve) => setTimeout(resolve, wanted.responseDelayMs));
    const { response } = wanted;
    if (response.case !== "error") return { payload: { requestInfo: seen, data: response.value } };
    const { code, message: text, details } = response.value;
    const error = new ConnectError(text ?? "", code, undefined, [
      { desc: info, value: seen as MessageInitShape<DescMessage> },
    ]);
    const given = details.map(({ typeUrl, value }) => ({ type: typeUrl.split("/").at(-1)!, value }));
    error.details = [...given, ...error.details];
    throw error;
  };
}

const unimplemented = (name: string) => () => {
  throw new ConnectError(`${name} is not served here`, Code.Unimplemented);
};

/** The RPC side of the suite's service, built as those of the mall are; `descriptors` is what `buf build` makes of it. */
export function conformanceServer(descriptors: Uint8Array): RpcServer {
  const types = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
  const messageOf = (name: string) => types.getMessage(`connectrpc.conformance.v1.${name}`)!;
  const service = types.getService("connectrpc.conformance.v1.ConformanceService") as DescService;
  const info = messageOf("ConformancePayload.RequestInfo");
  const methods = Object.fromEntries(
    service.methods.map(({ localName, name }) => [localName, unimplemented(name)]),
  );
  const implementation: Implementation = {
    service,
    methods: {
      ...methods,
      unary: unary(messageOf("UnaryRequest"), info),
      idempotentUnary: unary(messageOf("IdempotentUnaryRequest"), info),
    },
  };
  return createRpcServer({
    implementations: [implementation],
    gate: async () => {},
    interceptors: [],
    timeoutMs: () => ownTimeoutMs,
    log: jsonLog("conformance", "error"),
    anyTypes: types,
  });
}
