import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { FaultInfoSchema } from "@mall/gen/mall/common/v1/fault_pb";
import { fault, faultInfo } from "../fault";
import { setClient } from "../identity/client";
import { rpcScope, type ServiceTokens } from "../identity/service-token";
import type { Registry } from "../registry/port";
import { type ServiceName, serviceOfPackage } from "../topology";
import { currentRequest } from "./context";

const timeoutMsDefault = 10_000;

/** Headers that every call to another service carries: who acts, for whom, and in which request. */
async function callHeaders(
  tokens: ServiceTokens,
  callee: ServiceName,
  method: DescMethod,
  given: HeadersInit | undefined,
): Promise<Headers> {
  const header = new Headers(given);
  header.set("x-service-token", await tokens.tokenFor(callee, rpcScope(method)));
  const request = currentRequest.getStore();
  if (!request) return header;
  header.set("x-request-id", request.requestId);
  setClient(header, request.client);
  if (request.traceparent) header.set("traceparent", request.traceparent);
  if (request.authorization) header.set("authorization", request.authorization);
  if (request.actor.cartSecret) header.set("x-cart-secret", request.actor.cartSecret);
  if (request.actor.orderSecret) header.set("x-order-secret", request.actor.orderSecret);
  return header;
}

/** A neighbour's fault passes through as it is; everything else means that the neighbour is not well. */
function neighbourError(error: unknown, callee: ServiceName): ConnectError {
  const connect = ConnectError.from(error);
  const info = faultInfo(connect);
  if (info)
    return new ConnectError(
      connect.rawMessage,
      connect.code,
      {},
      [{ desc: FaultInfoSchema, value: info }],
      error,
    );
  if (connect.code === Code.DeadlineExceeded || connect.code === Code.Canceled) return connect;
  return fault("unavailable", "SERVICE_UNAVAILABLE", `The ${callee} service does not answer properly.`, {
    retryAfterSeconds: 1,
    cause: error,
  });
}

/**
 * A generated client of another service over the registry: adds the service token and the request's context, keeps
 * within the caller's deadline (10 s without one), and passes on the neighbour's faults.
 */
export function clientOf<S extends DescService>(
  desc: S,
  registry: Registry,
  tokens: ServiceTokens,
  clock: () => Date,
): Client<S> {
  const callee = serviceOfPackage(desc.typeName);
  if (!callee) throw new Error(`${desc.typeName} belongs to no service`);
  const base = registry.transport(callee);
  const transport: Transport = {
    stream: base.stream,
    async unary(method, signal, timeoutMs, header, input, values) {
      const deadlineMs = currentRequest.getStore()?.deadlineMs;
      const remainingMs =
        deadlineMs === undefined ? timeoutMsDefault : Math.max(1, deadlineMs - clock().getTime());
      try {
        const headers = await callHeaders(tokens, callee, method, header);
        return await base.unary(
          method,
          signal,
          Math.min(timeoutMs ?? timeoutMsDefault, remainingMs),
          headers,
          input,
          values,
        );
      } catch (error) {
        throw neighbourError(error, callee);
      }
    },
  };
  return createClient(desc, transport);
}
