import type { DescMethodUnary } from "@bufbuild/protobuf";
import { ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { addressKey } from "@mall/kernel/rpc/context";
import { limits } from "@mall/kernel/rpc/limits";
import { requestIdOf } from "@mall/kernel/rpc/request-id";
import { serviceOfPackage } from "@mall/kernel/topology";
import { contract } from "./contract";
import type { Edge } from "./edge";
import { routes } from "./routes";

/** Request headers that go on to the service; the identity of services never comes from outside. */
const forwarded = ["authorization", "idempotency-key", "x-cart-secret", "x-order-secret", "traceparent"];
const returned = ["idempotent-replayed", "retry-after", "x-request-id"];

const pick = (from: Headers, names: readonly string[]): Headers => {
  const header = new Headers();
  for (const name of names) {
    const value = from.get(name);
    if (value !== null) header.set(name, value);
  }
  return header;
};

/** A service's error with the headers that clients are to see; Connect passes on none of those it received. */
function refusal(thrown: unknown): ConnectError {
  const error = ConnectError.from(thrown);
  const passed = new ConnectError(error.rawMessage, error.code, pick(error.metadata, returned));
  passed.details = error.details;
  return passed;
}

/**
 * gRPC at the edge. Trailers do not pass Bun's fetch, so unlike everything else a gRPC call is decoded here and goes
 * on through the registry's transport.
 */
export const grpcProxy = (edge: Edge) => (router: ConnectRouter) => {
  const { registry, introduce, admit, clientAddressOf } = edge;
  const published = new Map(routes.map((route) => [route.rpcPath, route]));
  const addressIn = ({ values, requestHeader }: HandlerContext) =>
    clientAddressOf(values.get(addressKey), requestHeader);
  for (const service of contract) {
    const owner = serviceOfPackage(service.typeName)!;
    const transport = registry.transport(owner);
    for (const method of service.methods) {
      const route = published.get(`/${service.typeName}/${method.name}`);
      if (!route) continue;
      const gate = async (context: HandlerContext) => {
        const { refusal, header } = await admit(context.requestHeader, addressIn(context), route.rateClass);
        header.forEach((value, name) => void (refusal?.metadata ?? context.responseHeader).set(name, value));
        if (refusal) throw refusal;
      };
      const call = async (message: never, context: HandlerContext) => {
        const header = pick(context.requestHeader, forwarded);
        header.set("x-request-id", requestIdOf(context.requestHeader));
        const own = await introduce(owner, context.requestHeader, addressIn(context));
        own.forEach((value, name) => void header.set(name, value));
        const timeoutMs = Math.min(context.timeoutMs() ?? limits.timeoutMs, limits.timeoutMsMax);
        const unary = method as DescMethodUnary;
        const response = await transport
          .unary(unary, context.signal, timeoutMs, header, message)
          .catch((error) => Promise.reject(refusal(error)));
        pick(response.header, returned).forEach(
          (value, name) => void context.responseHeader.set(name, value),
        );
        return response.message;
      };
      router.rpc(method, call as never, {
        requestGate: gate,
        readMaxBytes: route.bodyBytesMax,
        maxTimeoutMs: limits.timeoutMsMax,
      });
    }
  }
};
