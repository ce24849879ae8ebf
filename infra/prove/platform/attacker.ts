import { connect } from "node:net";
import { gzipSync } from "node:zlib";

/*
 * bun infra/prove/platform/attacker.ts <port> …    attacks the gateways on these ports of this machine until it is told to
 * stop, and then prints how often each attack was begun and how often one of them was let through.
 */
const ports = process.argv.slice(2).map(Number);
const host = "127.0.0.1";
const portOf = (n: number): number => ports[n % ports.length]!;
const begun: Record<string, number> = {};
const answered: Record<string, number> = {};

const head = (...lines: string[]) =>
  `${["POST /v1/carts HTTP/1.1", "Host: mall", "Content-Type: application/json", ...lines].join("\r\n")}\r\n\r\n`;

/** How an attack writes; it ends with its connection. */
type Attack = (write: (bytes: string | Uint8Array) => Promise<void>) => Promise<void>;

/** A header every second, a head without an end. */
const slowHead: Attack = async (write) => {
  await write("GET /v1/products HTTP/1.1\r\nHost: mall\r\n");
  for (;;) {
    await Bun.sleep(1_000);
    await write("X-a: b\r\n");
  }
};

/** A byte every second of a body that is never whole. */
const slowBody: Attack = async (write) => {
  await write(head("Content-Length: 5000"));
  for (;;) {
    await Bun.sleep(1_000);
    await write(" ");
  }
};

const smuggle: Attack = (write) =>
  write(
    `${head("Content-Length: 5", "Transfer-Encoding: chunked")}0\r\n\r\nGET /v1/products HTTP/1.1\r\nHost: mall\r\n\r\n`,
  );

const mebibyte = new Uint8Array(1024 * 1024).fill(32);

/** A GiB in chunks of a MiB, which says no length. */
const gibibyte: Attack = async (write) => {
  await write(head("Transfer-Encoding: chunked"));
  for (let n = 0; n < 1024; n++) {
    await write("100000\r\n");
    await write(mebibyte);
    await write("\r\n");
  }
  await write("0\r\n\r\n");
};

/** A tenth of a MiB that is a hundred MiB once it is unpacked. */
const bomb = gzipSync(new Uint8Array(100 * 1024 * 1024));
const gzipBomb: Attack = async (write) => {
  await write(head(`Content-Length: ${bomb.length}`, "Content-Encoding: gzip"));
  await write(bomb);
};

/** Attacks once, over a connection of its own, until that is closed or was answered. */
function once(name: string, attack: Attack, port: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(port, host);
  socket.on("error", () => {});
  socket.on("data", (data) => {
    if (data.toString("latin1").startsWith("HTTP/1.1 2")) answered[name] = (answered[name] ?? 0) + 1;
    socket.destroy();
  });
  socket.on("close", () => resolve());
  const write = (bytes: string | Uint8Array) =>
    new Promise<void>((written, broken) => {
      if (socket.destroyed) broken(new Error("closed"));
      else socket.write(bytes, (error) => (error ? broken(error) : written()));
    });
  socket.on("connect", () => {
    begun[name] = (begun[name] ?? 0) + 1;
    attack(write).catch(() => socket.destroy());
  });
  return promise;
}

async function again(name: string, attack: Attack, n: number, pauseMs: number): Promise<never> {
  for (;;) {
    await once(name, attack, portOf(n));
    await Bun.sleep(pauseMs);
  }
}

for (let n = 0; n < 100 * ports.length; n++) {
  void again("slow heads", slowHead, n, 100);
  void again("slow bodies", slowBody, n, 100);
}
for (let n = 0; n < ports.length; n++) {
  void again("requests in requests", smuggle, n, 100);
  void again("bodies of a GiB", gibibyte, n, 500);
  void again("gzip bombs", gzipBomb, n, 500);
}
process.on("SIGTERM", () => {
  process.stdout.write(JSON.stringify({ begun, answered }), () => process.exit(0));
});
console.error("attacking");
