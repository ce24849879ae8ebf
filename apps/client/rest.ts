import { operations } from "@mall/gen/client/operations";
import type { paths } from "@mall/gen/client/paths";
import createFetchClient, { type Client, type Middleware } from "openapi-fetch";
import { type CallDeps, carryOut } from "./call";
import { clientFault, faultOf, MallError, withFault } from "./fault";
import { type ClientOptions, timeoutMsDefault } from "./options";
import { faultOfResponse } from "./problem";
import { patience } from "./retry";
import type { CallRules } from "./rules";

const rulesOf = (request: Request, path: string): CallRules =>
  (operations as Record<string, CallRules>)[`${request.method.toLowerCase()} ${path}`] ?? {
    repeat: "never",
    isPublic: false,
  };

/** Sends a request once. The answer is read to its end, so that one which breaks off counts as none. */
async function sent(
  request: Request,
  fetch: typeof globalThis.fetch,
  signal: AbortSignal,
): Promise<Response> {
  try {
    const answer = await fetch(request, { signal });
    const bytes = await answer.arrayBuffer();
    return new Response(bytes.byteLength > 0 ? bytes : null, answer);
  } catch (error) {
    signal.throwIfAborted();
    const requestId = request.headers.get("x-request-id") ?? "";
    throw new MallError(clientFault("NO_ANSWER", "The mall could not be reached.", requestId), {
      cause: error,
    });
  }
}

/** Carries out requests by the rules of their contract; the answer takes the place of openapi-fetch's own. */
function carrying(deps: CallDeps, timeoutMs: number): Middleware {
  return {
    async onRequest({ request, schemaPath, options }) {
      const header = new Headers(request.headers);
      const signal = AbortSignal.any([request.signal, AbortSignal.timeout(timeoutMs)]);
      const send = async () => {
        const response = await sent(new Request(request.clone(), { headers: header }), options.fetch, signal);
        if (response.ok) return response;
        const requestId = header.get("x-request-id") ?? "";
        throw withFault(response, await faultOfResponse(response.clone(), requestId));
      };
      try {
        return await carryOut({ rules: rulesOf(request, schemaPath), header, signal, send }, deps);
      } catch (error) {
        if (error instanceof Response) return error;
        throw error;
      }
    },
  };
}

/** The REST client of openapi-fetch, typed by the mall's OpenAPI document. */
export type RestClient = Client<paths>;

/**
 * A client of the REST routes without descriptors or protobuf: `rest.GET("/v1/products", …)`. Tokens, secrets, keys and
 * repetitions are as with `mallTransport`. Refusals come
 * back as `error`, and `faultOf(response)` explains them; `answerOf` throws them.
 */
export function mallRest(options: ClientOptions): RestClient {
  const { url, session, secrets, timeoutMs = timeoutMsDefault, fetch } = options;
  const client: RestClient = createFetchClient<paths>({ baseUrl: url, fetch });
  client.use(carrying({ session, secrets, retry: { ...patience, ...options.retry } }, timeoutMs));
  return client;
}

/** The body of a REST answer. Throws a refusal as an error that `faultOf` explains. */
export async function answerOf<T>(
  result: Promise<{ data?: T; response: Response }>,
): Promise<NonNullable<T>> {
  const { data, response } = await result;
  const fault = faultOf(response);
  if (fault) throw new MallError(fault);
  return data as NonNullable<T>;
}
