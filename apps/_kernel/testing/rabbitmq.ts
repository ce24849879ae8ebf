import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd } from "./cleanup";
import { freePorts } from "./ports";

const program = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const startMsMax = 90_000;

/** Whether something accepts connections there. */
const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });

/** The server's whole world: a folder and ports of its own, so that no other broker of the machine is touched. */
async function environment(folder: string, [port, distPort, epmdPort]: readonly number[]) {
  await mkdir(folder, { recursive: true });
  const config = join(folder, "rabbitmq.conf");
  const plugins = join(folder, "enabled_plugins");
  await writeFile(
    config,
    `listeners.tcp.1 = 127.0.0.1:${port}\nlog.console = false\nlog.file.level = warning\n`,
  );
  await writeFile(plugins, "[].\n");
  return {
    PATH: process.env.PATH,
    HOME: folder,
    RABBITMQ_NODENAME: `mall-${process.pid}-${port}@localhost`,
    RABBITMQ_CONFIG_FILE: config,
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    RABBITMQ_CONF_ENV_FILE: join(folder, "none"),
    RABBITMQ_MNESIA_BASE: join(folder, "data"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_PID_FILE: join(folder, "pid"),
    RABBITMQ_DIST_PORT: String(distPort),
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
  };
}

/** Ends the port mapper that Erlang left behind; it refuses as long as it thinks that the server lives. */
async function endPortMapper(env: Record<string, string | undefined>): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const kill = Bun.spawn(["epmd", "-kill"], { env, stdout: "ignore", stderr: "ignore" });
    if ((await kill.exited) === 0) return;
    await Bun.sleep(100);
  }
}

async function start(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mall-rabbitmq-"));
  const ports = await freePorts(3);
  const env = await environment(folder, ports);
  const child = Bun.spawn([program], {
    env,
    cwd: folder,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  atEnd(async () => {
    child.kill("SIGTERM");
    const isLate = await Promise.race([child.exited, Bun.sleep(15_000).then(() => "late")]);
    if (isLate === "late") child.kill("SIGKILL");
    await endPortMapper(env);
    await rm(folder, { recursive: true, force: true });
  });
  for (const givenUpAtMs = Date.now() + startMsMax; !(await isOpen(ports[0]!)); await Bun.sleep(100)) {
    if (child.exitCode !== null) throw new Error(`RabbitMQ ended with ${child.exitCode}, see ${folder}`);
    if (Date.now() > givenUpAtMs) throw new Error(`RabbitMQ did not start within ${startMsMax} ms`);
  }
  return `amqp://guest:guest@127.0.0.1:${ports[0]}`;
}

let running: Promise<string> | undefined;

/**
 * The address of a RabbitMQ for tests: RABBITMQ_URL, else Debian's server started in a folder of its own and ended after
 * the last test; undefined where it is not installed.
 */
export async function rabbitmqForTests(): Promise<string | undefined> {
  if (process.env.RABBITMQ_URL) return process.env.RABBITMQ_URL;
  if (!running && !existsSync(program)) return undefined;
  running ??= start();
  return running;
}
