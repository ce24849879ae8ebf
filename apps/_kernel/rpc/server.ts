import {
  create,
  type DescMethod,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type JsonValue,
  type Message,
  type Registry,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ConnectRouterOptions,
  createConnectRouter,
  createContextValues,
  createHandlerContext,
  createMethodImplSpec,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
  type Transport,
} from "@connectrpc/connect";
import {
  createAsyncIterable,
  getAbortSignalReason,
  invokeUnaryImplementation,
  readAllBytes,
  type UniversalHandler,
} from "@connectrpc/connect/protocol";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { databaseFault } from "../db/client";
import { fault, faultInfo, invalid } from "../fault";
import { errorFields, type Log } from "../log";
import { readBody } from "./body";
import { currentRequest, requestKey } from "./context";
import { forCaller, timed } from "./deadline";
import { bodyBytesMaxOf, limits } from "./limits";
import { explainJson } from "./validate";

/** One proto service with its implementation. */
export interface Implementation {
  service: DescService;
  methods: Record<string, (request: never, context: HandlerContext) => unknown>;
}

/** An implementation with the types of its service. */
export const implement = <S extends DescService>(service: S, methods: ServiceImpl<S>): Implementation => ({
  service,
  methods: methods as unknown as Implementation["methods"],
});

/** JSON as every surface writes and reads it: implicit fields always emitted, unknown fields refused. */
export const jsonOptions = { alwaysEmitImplicit: true, ignoreUnknownFields: false } as const;

/** How a call that needs no parsing reaches a method. */
export interface DirectCall {
  method: DescMethodUnary;
  header: Headers;
  protocol: string;
  requestMethod: string;
  url: string;
  signal?: AbortSignal;
  timeoutMs?: number;
  /** Gives the decoded request; called only after the gate let the caller in. */
  read(): Promise<Message> | Message;
}

/** The RPC side of one service: every surface ends in the same gate, interceptors and handlers. */
export interface RpcServer {
  readonly services: readonly DescService[];
  /** Calls a method with a decoded message. Rejects with a ConnectError. */
  call(call: DirectCall): Promise<{ message: Message; context: HandlerContext }>;
  /** Answers Connect and gRPC-Web; undefined when the path is no RPC of this service. */
  fetch(request: Request): Promise<Response> | undefined;
  /** Registers the service with its gate and interceptors on a router, for the gRPC host. */
  routes(router: ConnectRouter): void;
  /** For neighbours in the same process. */
  transport: Transport;
}

export interface RpcServerDeps {
  implementations: readonly Implementation[];
  gate: (context: HandlerContext) => Promise<void>;
  /** Inside the request's context; validation and idempotency. */
  interceptors: Interceptor[];
  /** Milliseconds that a call by REST or Connect may take whose client names no deadline. */
  timeoutMs(): number;
  log: Log;
  /** Types that a google.protobuf.Any may hold in JSON; the mall's own contract has none. */
  anyTypes?: Registry;
}

/** Anything thrown that is no fault is a bug: logged whole, answered as INTERNAL with nothing but the request id. */
function classify(thrown: unknown, method: DescMethod, log: Log): ConnectError {
  const error = databaseFault(thrown);
  if (error instanceof ConnectError && (faultInfo(error) || error.code !== Code.Internal)) return error;
  log("error", "unexpected error", {
    rpc: method.name,
    requestId: currentRequest.getStore()?.requestId,
    ...errorFields(error),
  });
  return fault(
    "internal",
    "INTERNAL",
    "Something went wrong in the mall; the request id finds it in the log.",
    { cause: error },
  );
}

/** Why a request that was aborted has no answer: its time was over, or its caller has gone. */
function endOf(signal: AbortSignal): ConnectError {
  const reason = getAbortSignalReason(signal);
  const isTimeout = reason instanceof Error && reason.name === "TimeoutError";
  // Connect takes the one for the other
  if (isTimeout) return new ConnectError("the operation timed out", Code.DeadlineExceeded);
  return ConnectError.from(reason, Code.Canceled);
}

const contextual =
  (log: Log): Interceptor =>
  (next) =>
  (request) => {
    const context = request.contextValues.get(requestKey);
    const { method, signal } = request;
    return currentRequest.run(context, async () => {
      try {
        const response = await forCaller(method, signal, () => next(request));
        response.header.set("x-request-id", context.requestId);
        return response;
      } catch (error) {
        // what was cancelled is no error of its own
        if (signal.aborted) throw endOf(signal);
        throw classify(error, method, log);
      }
    });
  };

/** Builds the RPC side of a service. */
export function createRpcServer(deps: RpcServerDeps): RpcServer {
  const interceptors = [contextual(deps.log), ...deps.interceptors];
  const options: ConnectRouterOptions = {
    interceptors,
    requestGate: deps.gate,
    jsonOptions: { ...jsonOptions, registry: deps.anyTypes },
    readMaxBytes: limits.importBytesMax,
    writeMaxBytes: limits.importBytesMax,
    maxTimeoutMs: limits.timeoutMsMax,
    acceptCompression: [],
  };
  const routes = (router: ConnectRouter) => {
    for (const { service, methods } of deps.implementations)
      router.service(service, methods as never, options);
  };
  const specs = new Map<DescMethod, ReturnType<typeof createMethodImplSpec>>();
  for (const { service, methods } of deps.implementations) {
    for (const method of service.methods) {
      const implementation = methods[method.localName];
      if (!implementation) throw new Error(`${service.typeName}.${method.name} is not implemented`);
      specs.set(method, createMethodImplSpec(method, implementation as never));
    }
  }
  const router = createConnectRouter();
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  async function call({ method, read, protocol, header, timeoutMs, signal, ...rest }: DirectCall) {
    const spec = specs.get(method);
    if (spec?.kind !== "unary")
      throw new ConnectError(`${method.name} is not served here`, Code.Unimplemented);
    const context = createHandlerContext({
      ...rest,
      service: method.parent,
      method,
      protocolName: protocol,
      timeoutMs: Math.min(timeoutMs ?? deps.timeoutMs(), limits.timeoutMsMax),
      requestSignal: signal,
      requestHeader: header,
      contextValues: createContextValues(),
    });
    try {
      await deps.gate(context);
      const message = await untilAborted(
        context.signal,
        invokeUnaryImplementation(spec, context, (await read()) as never, interceptors),
      );
      return { message: message as Message, context };
    } finally {
      context.abort();
    }
  }

  return {
    services: deps.implementations.map((i) => i.service),
    call,
    routes,
    transport: directTransport(call),
    fetch(request) {
      const handler = handlers.get(new URL(request.url).pathname);
      return handler && serveConnect(handler, request, deps.timeoutMs());
    },
  };
}

/** Ends a call at its deadline; Connect leaves a method that ignores its signal running. */
function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(endOf(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

async function serveConnect(
  handler: UniversalHandler,
  request: Request,
  timeoutMs: number,
): Promise<Response> {
  const bytesMax = bodyBytesMaxOf(handler.method);
  let received = new Uint8Array(0);
  async function* body() {
    received = await readBody(request, bytesMax);
    yield received;
  }
  const response = await handler({
    httpVersion: "1.1",
    method: request.method,
    url: request.url,
    header: timed(request.headers, timeoutMs),
    body: request.method === "GET" ? createAsyncIterable([]) : body(),
    signal: request.signal,
  });
  const header = new Headers(response.header);
  const bytes = response.body ? await readAllBytes(response.body, Number.MAX_SAFE_INTEGER) : null;
  // Connect's own parsers name no field, and call broken binary an internal error
  if (
    (response.status === 400 || response.status === 500) &&
    bytes &&
    !Buffer.from(bytes.buffer).includes(faultMark)
  ) {
    const explained = explainBody(handler.method, request.headers.get("content-type") ?? "", received);
    if (explained) {
      header.delete("content-length");
      return new Response(explained as Uint8Array<ArrayBuffer>, { status: 400, headers: header });
    }
  }
  return new Response(bytes as Uint8Array<ArrayBuffer> | null, { status: response.status, headers: header });
}

const faultMark = "mall.common.v1.FaultInfo";

/** The same explanation as on REST, for a unary Connect body that does not decode. */
function explainBody(method: DescMethod, contentType: string, received: Uint8Array): Uint8Array | undefined {
  const violations = contentType.startsWith("application/json")
    ? explainBytes(method, received)
    : contentType.startsWith("application/proto")
      ? explainBinary(method, received)
      : undefined;
  return violations && errorToJsonBytes(invalid(violations), {});
}

function explainBinary(method: DescMethod, received: Uint8Array) {
  try {
    fromBinary(method.input, received);
    return undefined;
  } catch {
    return [{ pointer: "#", detail: `is no ${method.input.typeName} in binary form` }];
  }
}

function explainBytes(method: DescMethod, received: Uint8Array) {
  try {
    const violations = explainJson(method.input, JSON.parse(new TextDecoder().decode(received)) as JsonValue);
    return violations.length > 0 ? violations : undefined;
  } catch {
    return [{ pointer: "#", detail: "is not JSON" }];
  }
}

/** Calls in one process: the same gate and interceptors, no encoding. */
function directTransport(call: RpcServer["call"]): Transport {
  return {
    async unary(method, signal, timeoutMs, header, input) {
      const { message, context } = await call({
        method,
        signal,
        timeoutMs,
        header: new Headers(header),
        protocol: "direct",
        requestMethod: "POST",
        url: `http://direct/${method.parent.typeName}/${method.name}`,
        read: () => create(method.input, input) as Message,
      });
      return {
        stream: false,
        service: method.parent,
        method,
        header: context.responseHeader,
        trailer: context.responseTrailer,
        message: message as never,
      };
    },
    stream() {
      throw new ConnectError("streams are not served", Code.Unimplemented);
    },
  };
}
