import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type HttpRequest, json, type Reply } from "./reply";

const bodyBytesMax = 256 * 1024;

/** Reads a request; undefined when its body is too large. */
async function readRequest(incoming: IncomingMessage): Promise<HttpRequest | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > bodyBytesMax) return undefined;
  }
  const [path = "", query = ""] = (incoming.url ?? "").split("?", 2);
  return {
    method: incoming.method ?? "",
    path,
    query,
    header: (name) => [incoming.headers[name]].flat()[0],
    body: Buffer.concat(chunks).toString(),
  };
}

/** Does to a connection what a reply says. */
async function send(outgoing: ServerResponse, reply: Reply): Promise<void> {
  if (reply.kind === "drop") {
    outgoing.socket?.destroy();
    return;
  }
  const { status, headers, body } = reply.answer;
  const bytes = Buffer.from(body);
  outgoing.writeHead(status, { ...headers, "content-length": bytes.length });
  if (reply.kind === "answer") {
    outgoing.end(bytes);
    return;
  }
  await new Promise<void>((resolve) => {
    outgoing.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => resolve());
  });
  // what was written has to leave before the connection does
  await Bun.sleep(20);
  outgoing.socket?.destroy();
}

export interface Listener {
  port: number;
  stop(): Promise<void>;
}

/** Listens for requests. A request goes on when its client is gone. */
export async function listen(
  { hostname, port }: { hostname: string; port: number },
  handle: (request: HttpRequest) => Promise<Reply>,
): Promise<Listener> {
  let isStopping = false;
  const server = createServer(async (incoming, outgoing) => {
    outgoing.on("error", () => {});
    try {
      const request = await readRequest(incoming);
      const tooLarge: Reply = { kind: "answer", answer: json(413, { error: { message: "Too large." } }) };
      await send(outgoing, request ? await handle(request) : tooLarge);
    } catch (error) {
      if (isStopping || (incoming.destroyed && !incoming.complete)) return;
      console.error("payment simulator:", error);
      await send(outgoing, {
        kind: "answer",
        answer: json(500, { error: { type: "api_error", message: "bug" } }),
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        isStopping = true;
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
