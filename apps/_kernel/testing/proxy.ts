import { connect, createServer, type Socket } from "node:net";

/** A way to a server that a test can cut. */
export interface TcpProxy {
  port: number;
  /** Ends all connections and refuses new ones. */
  cut(): Promise<void>;
  /** Takes connections and bytes, and answers nothing. */
  hang(): void;
  restore(): Promise<void>;
  stop(): Promise<void>;
}

/** Passes TCP connections on 127.0.0.1 on to another port of it. */
export async function tcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let isCut = false;
  let isHanging = false;
  const server = createServer((client) => {
    if (isCut) return void client.destroy();
    if (isHanging) return void sockets.add(client.on("error", () => client.destroy()));
    const target = connect(targetPort, "127.0.0.1");
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("close", () => target.destroy());
    target.on("close", () => client.destroy());
    client.pipe(target).pipe(client);
  });
  const listen = (at: number) =>
    new Promise<void>((resolve) => server.listen(at, "127.0.0.1", () => resolve()));
  await listen(0);
  const { port } = server.address() as { port: number };
  const cut = async () => {
    isCut = true;
    server.close();
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  return {
    port,
    cut,
    hang() {
      isHanging = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
    async restore() {
      // what hung is too late for all that waited for it
      if (isHanging) await cut();
      isHanging = false;
      if (isCut) await listen(port);
      isCut = false;
    },
    stop: cut,
  };
}
