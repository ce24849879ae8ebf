import { openSync } from "node:fs";
import { join } from "node:path";
import { root } from "../repository";

export interface ProcessOptions {
  /** Such as "order-1"; names the log file. */
  name: string;
  env: Record<string, string>;
  port: number;
  logFolder: string;
  /** Called when the process has ended, before it is started again. */
  onDown(): void;
  /** Called when it answers. */
  onUp(): Promise<void>;
}

/** One process of the mall under a supervisor that starts it again whenever it was killed. */
export interface SupervisedProcess {
  readonly name: string;
  readonly url: string;
  /** How often it ended although nobody killed it. */
  readonly crashes: number;
  /** kill -9; resolves when it is gone. Its supervisor starts it again after `downMs`. */
  kill(downMs?: number): Promise<void>;
  /** SIGSTOP: it keeps its connections and answers nothing. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Tells it to end and waits until it has; its supervisor starts it again at once. */
  restart(): Promise<void>;
  /** Resolves when it answers. */
  ready(): Promise<void>;
  /** Tells it to end and waits until it has, for good. */
  drain(): Promise<void>;
  /** Kills it for good, or until `start`. */
  stop(): Promise<void>;
  start(env?: Record<string, string>): void;
}

const answers = (url: string): Promise<boolean> =>
  fetch(`${url}/livez`, { signal: AbortSignal.timeout(2_000), keepalive: false }).then(
    (response) => response.ok,
    () => false,
  );

/** What ended by itself is started again after this, doubled each time until it has run for ten seconds. */
const [backoffMs, backoffMsMax, healthyMs] = [500, 10_000, 10_000];

/** Longer than any process takes to drain. */
const drainMsMax = 90_000;

type Child = Bun.Subprocess<"ignore", number, number>;

/** Everything that runs, to be ended with this process however it ends. */
const children = new Set<Child>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

function spawned({ logFolder, name }: ProcessOptions, env: Record<string, string>): Child {
  const log = openSync(join(logFolder, `${name}.log`), "a");
  const child = Bun.spawn([process.execPath, "apps/mall/start.ts"], {
    ...{ cwd: root, env, stdin: "ignore", stdout: log, stderr: log },
  });
  children.add(child);
  return child;
}

/** Signals a process and waits until it has ended; one that takes too long is killed. */
async function ended(child: Child, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  child.kill(signal);
  const late = setTimeout(() => child.kill("SIGKILL"), drainMsMax);
  await child.exited;
  clearTimeout(late);
}

/** Starts `bun apps/mall/start.ts` and keeps it running. */
export function supervise(options: ProcessOptions): SupervisedProcess {
  const url = `http://127.0.0.1:${options.port}`;
  let child: Child;
  let env = options.env;
  let wanted = true;
  let killed = false;
  let downMs = 0;
  let crashes = 0;
  let crashesInARow = 0;
  let launchedAtMs = 0;
  let up = Promise.withResolvers<void>();

  async function announceWhenUp(of: Child): Promise<void> {
    while (of.exitCode === null && !(await answers(url))) await Bun.sleep(20);
    if (of.exitCode !== null || of !== child) return;
    await options.onUp();
    up.resolve();
  }

  async function startAgain(of: Child): Promise<void> {
    await of.exited;
    children.delete(of);
    options.onDown();
    if (!wanted) return;
    if (!killed) {
      crashes++;
      if (Date.now() - launchedAtMs > healthyMs) crashesInARow = 0;
      const waitMs = Math.min(backoffMsMax, backoffMs * 2 ** crashesInARow++);
      console.error(`${options.name} ended with ${of.exitCode ?? of.signalCode}; again in ${waitMs} ms`);
      await Bun.sleep(waitMs);
    }
    await Bun.sleep(downMs);
    if (wanted) launch();
  }

  function launch(): void {
    killed = false;
    downMs = 0;
    launchedAtMs = Date.now();
    child = spawned(options, env);
    startAgain(child).catch((error) => console.error(error));
    announceWhenUp(child).catch((error) => console.error(error));
  }

  launch();
  const end = async (signal: "SIGKILL" | "SIGTERM" = "SIGKILL") => {
    up.promise.catch(() => {});
    up = Promise.withResolvers<void>();
    await ended(child, signal);
  };
  return {
    name: options.name,
    url,
    get crashes() {
      return crashes;
    },
    async kill(ms = 0) {
      killed = true;
      downMs = ms;
      await end();
    },
    async restart() {
      killed = true;
      await end("SIGTERM");
    },
    async drain() {
      wanted = false;
      await end("SIGTERM");
    },
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    ready: () => up.promise,
    async stop() {
      wanted = false;
      await end();
    },
    start(changed = env) {
      env = changed;
      wanted = true;
      launch();
    },
  };
}
