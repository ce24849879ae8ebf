import { create, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { createClient } from "@connectrpc/connect";
import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";
import { CheckoutService } from "@mall/gen/mall/checkout/v1/checkout_pb";
import { FaultInfoSchema } from "@mall/gen/mall/common/v1/fault_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { mallTransport } from "./connect";
import type { ClientOptions } from "./options";
import { answerOf, mallRest } from "./rest";

/** A refusal, as both surfaces write it. */
export interface Refusal {
  code: string;
  status: number;
  reason: string;
  metadata?: Record<string, string>;
  retryAfter?: string;
}

/** What a scripted mall does with a request: does not answer, breaks off, refuses, answers HTML or an empty success. */
export type Step = "drop" | "break" | "html" | "ok" | Refusal;

const answerTo = {
  connect({ code, status, reason, metadata = {} }: Refusal) {
    const info = create(FaultInfoSchema, { reason, metadata, requestId: "request-1" });
    const value = base64Encode(toBinary(FaultInfoSchema, info));
    const details = [{ type: FaultInfoSchema.typeName, value }];
    return Response.json({ code, message: `It is ${reason}.`, details }, { status });
  },
  rest({ status, reason, metadata = {} }: Refusal) {
    const detail = `It is ${reason}.`;
    const problem = { reason, detail, instance: "urn:uuid:request-1", metadata, errors: [] };
    return Response.json(problem, { status, headers: { "content-type": "application/problem+json" } });
  },
};

const broken = () =>
  new ReadableStream({
    start: (stream) => stream.error(new TypeError("network error")),
  });

function answered(step: Step, isRest: boolean): Response {
  if (step === "drop") throw new TypeError("fetch failed");
  if (step === "html") return new Response("<h1>Bad gateway</h1>", { status: 502 });
  const json = { headers: { "content-type": "application/json" } };
  if (step === "break") return new Response(broken(), json);
  if (step === "ok") return new Response("{}", json);
  const response = answerTo[isRest ? "rest" : "connect"](step);
  if (step.retryAfter) response.headers.set("retry-after", step.retryAfter);
  return response;
}

/** A fetch that does one step a request, then answers `ok`; it keeps the requests. Refreshes are answered by `refresh`. */
export function scripted(
  steps: Step[],
  refresh: (request: Request) => Promise<Response> | Response = () => new Response(null, { status: 500 }),
) {
  const requests: Request[] = [];
  const refreshes: Request[] = [];
  const fetch = (async (input: Request | string, init?: RequestInit) => {
    const request = new Request(input, init);
    request.signal.throwIfAborted();
    const { pathname } = new URL(request.url);
    if (pathname === "/v1/auth/refresh") {
      refreshes.push(request);
      return refresh(request);
    }
    requests.push(request);
    return answered(steps.shift() ?? "ok", pathname.startsWith("/v1/"));
  }) as typeof globalThis.fetch;
  return { fetch, requests, refreshes };
}

type CallInit = { headers?: Record<string, string>; signal?: AbortSignal };

/** Three calls: one that may be repeated freely, one never, one with its key. */
type Calls = Record<"list" | "add" | "place", (init?: CallInit) => Promise<unknown>>;

/** The same calls on both surfaces. */
export const surfaces: Record<string, (options: ClientOptions) => Calls> = {
  Connect(options: ClientOptions) {
    const transport = mallTransport(options);
    const carts = createClient(CartService, transport);
    return {
      list: (init?: CallInit) => createClient(ProductService, transport).listProducts({}, init),
      add: (init?: CallInit) => carts.addItem({ cartId: "c", variantId: "v", quantity: 1 }, init),
      place: (init?: CallInit) => createClient(CheckoutService, transport).placeOrder({ cartId: "c" }, init),
    };
  },
  REST(options: ClientOptions) {
    const rest = mallRest(options);
    const shippingAddress = {
      name: "Ada",
      line1: "1 Way",
      city: "Austin",
      postalCode: "78701",
      country: "US",
    };
    const order = { cartId: "c", email: "ada@example.com", shippingOption: "standard", shippingAddress };
    return {
      list: (init?: CallInit) => answerOf(rest.GET("/v1/products", init)),
      add: (init?: CallInit) =>
        answerOf(
          rest.POST("/v1/carts/{cartId}/items", {
            params: { path: { cartId: "c" } },
            body: { variantId: "v", quantity: 1 },
            ...init,
          }),
        ),
      place: (init?: CallInit) => answerOf(rest.POST("/v1/checkouts", { body: order, ...init })),
    };
  },
};

/** Waits of a client that does not wait, and whose dice always show `random`. */
export function impatient(random = 0.5) {
  const waits: number[] = [];
  return {
    waits,
    retry: {
      random: () => random,
      sleep: async (ms: number) => {
        waits.push(ms);
      },
    },
  };
}
