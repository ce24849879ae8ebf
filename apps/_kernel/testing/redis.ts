import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "./ports";

/** A Redis that can be stopped and started. */
export interface TestRedis {
  url: string;
  /** SIGSTOP: connections stay and nothing is answered. */
  pause(): void;
  resume(): void;
  /** kill -9; what it held is lost. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Ends it for good. */
  stop(): Promise<void>;
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });

/** Debian's redis-server on a port and in a folder of its own, in memory; undefined where it is not installed. */
export async function startRedis(): Promise<TestRedis | undefined> {
  const program = Bun.which("redis-server");
  if (!program) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "mall-redis-"));
  const [port] = (await freePorts(1)) as [number];
  const settings = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "no",
    "--rdbcompression",
    "no",
  ];
  const launch = () =>
    Bun.spawn([program, ...settings, "--dir", folder], {
      ...{ stdin: "ignore", stdout: "ignore", stderr: "ignore" },
    });
  let child: ReturnType<typeof launch>;
  const start = async () => {
    child = launch();
    for (const untilMs = Date.now() + 10_000; !(await isOpen(port)); await Bun.sleep(20)) {
      if (child.exitCode !== null || Date.now() > untilMs) throw new Error("redis-server did not start");
    }
  };
  await start();
  const kill = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
  const atExit = () => child.kill("SIGKILL");
  process.once("exit", atExit);
  return {
    url: `redis://127.0.0.1:${port}`,
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    kill,
    start,
    async stop() {
      process.off("exit", atExit);
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
