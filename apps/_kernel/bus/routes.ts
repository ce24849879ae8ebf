import { ConnectError } from "@connectrpc/connect";
import type { Hono } from "hono";
import { fault } from "../fault";
import { eventScope, type ServiceTokens } from "../identity/service-token";
import { problemResponse } from "../problem";
import { readBody } from "../rpc/body";
import { requestIdOf } from "../rpc/request-id";
import { type ServiceName, serviceOfPackage } from "../topology";
import { isEvent, isMalformed, parsed } from "./consume";
import { eventPath, failurePath, sweepsPath } from "./paths";
import type { Inbox } from "./port";
import { undelivered } from "./qstash";

const eventBytesMax = 1024 * 1024;
/** A report holds the event and the answer to it in base64. */
const reportBytesMax = 4 * 1024 * 1024;
/** A schedule's message has no body. */
const sweepBytesMax = 1024;

const textOf = async (request: Request, bytesMax: number): Promise<string> =>
  new TextDecoder().decode(await readBody(request, bytesMax));

/** `/events`: where other services of the mall deliver their events. */
export function localRoute(app: Hono, tokens: ServiceTokens, inbox: Pick<Inbox, "handle">): void {
  app.post("/events", async (c) => {
    const token = c.req.header("x-service-token");
    if (!token)
      throw fault("unauthenticated", "UNAUTHENTICATED", "Events come from services of the mall only.");
    const caller = await tokens.callerOf(token, eventScope);
    const event = parsed(await textOf(c.req.raw, eventBytesMax));
    if (isEvent(event) && serviceOfPackage(event.type) !== caller)
      throw fault("permission_denied", "FORBIDDEN", "This event is not yours.");
    await inbox.handle(event);
    return c.body(null, 204);
  });
}

/** Whether a body came from QStash, sent to this path. */
type Verify = (path: string, signature: string, body: string) => Promise<boolean>;

/** The body of a request to a path. Fault UNAUTHENTICATED unless QStash signed it. */
const signedBy =
  (verify: Verify) =>
  async (request: Request, path: string, bytesMax: number): Promise<string> => {
    const signature = request.headers.get("upstash-signature");
    const body = signature ? await textOf(request, bytesMax) : "";
    if (!signature || !(await verify(path, signature, body)))
      throw fault("unauthenticated", "UNAUTHENTICATED", "This was not signed by our QStash.");
    return body;
  };

/** `/_sweeps`: where QStash, by a schedule, has a service do what is due. */
export function sweepRoute(app: Hono, verify: Verify, sweep: () => Promise<void>): void {
  const signedBody = signedBy(verify);
  app.post(sweepsPath, async (c) => {
    await signedBody(c.req.raw, sweepsPath, sweepBytesMax);
    await sweep();
    return c.body(null, 204);
  });
}

/** `/_events/<service>` and its `/failed`: where QStash delivers, and reports what it could not deliver. */
export function qstashRoutes(app: Hono, service: ServiceName, verify: Verify, inbox: Inbox): void {
  const signedBody = signedBy(verify);
  app.post(eventPath(service), async (c) => {
    const event = parsed(await signedBody(c.req.raw, eventPath(service), eventBytesMax));
    try {
      await inbox.handle(event);
    } catch (error) {
      return refusal(c.req.raw, error);
    }
    return c.body(null, 204);
  });
  app.post(failurePath(service), async (c) => {
    const report = undelivered(await signedBody(c.req.raw, failurePath(service), reportBytesMax));
    await inbox.bury(report.message, report.error);
    return c.body(null, 204);
  });
}

/** What QStash is told: 489 ends its attempts at once, and without Retry-After it keeps to our backoff. */
function refusal(request: Request, error: unknown): Response {
  if (!(error instanceof ConnectError)) throw error;
  const answer = problemResponse(error, requestIdOf(request.headers));
  answer.headers.delete("retry-after");
  if (!isMalformed(error)) return answer;
  answer.headers.set("upstash-nonretryable-error", "true");
  return new Response(answer.body, { status: 489, headers: answer.headers });
}
