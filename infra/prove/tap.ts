import { createConnection, createServer, type Server, type Socket } from "node:net";
import { framer, type Message } from "./frame";
import { type ActiveRule, type Call, type Rule, type RuleOptions, ruleOf, subjects } from "./tap-rules";

/** The door of one process: its callers connect here. */
export interface Door {
  url: string;
  /** Takes connections; while closed they are refused, as by a process that does not run. */
  open(): Promise<void>;
  close(): void;
}

/**
 * A proxy in front of every process of the mall that can hold, lose or repeat single calls, before or after the
 * service acted. What passes is forwarded as it came, one connection behind each connection in front.
 */
export interface Tap {
  /** A door to a process on another port of this machine. */
  door(service: string, port: number, targetPort: number): Door;
  rule(options: RuleOptions): Rule;
  /** From now on remembers which ids belong to which cart, so that a later rule knows them. */
  learn(): void;
  /** Ends all rules, and forgets. */
  clear(): void;
  /** Calls that passed since the start. */
  readonly calls: number;
  /** The same by service. */
  readonly counts: Readonly<Record<string, number>>;
  stop(): void;
}

const rpcOf = (method: string, path: string): string =>
  path.startsWith("/mall.") ? path.slice(path.lastIndexOf("/") + 1) : `${method} ${path.split("?")[0]}`;

/** Starts without doors and rules. */
export function openTap(): Tap {
  const rules = new Set<ActiveRule>();
  const known = subjects();
  const doors = new Set<Server>();
  const counts: Record<string, number> = {};
  let calls = 0;
  let learning = false;

  function look(service: string, { bytes }: Message): Call | undefined {
    calls++;
    counts[service] = (counts[service] ?? 0) + 1;
    if (rules.size === 0 && !learning) return undefined;
    const text = bytes.toString("latin1");
    const [method = "", path = ""] = text.slice(0, text.indexOf("\r\n")).split(" ", 2);
    return { service, rpc: rpcOf(method, path), ...known.read(text) };
  }
  const ruleFor = (call: Call | undefined, at: "before" | "after"): ActiveRule | undefined => {
    if (!call) return undefined;
    for (const rule of rules) if (rule.options.at === at && rule.fits(call)) return rule;
    return undefined;
  };

  return {
    counts,
    get calls() {
      return calls;
    },
    door(service, port, targetPort) {
      const clients = new Set<Client>();
      const server = createServer({ noDelay: true }, (socket) => {
        const client = connection(socket, targetPort, {
          look: (message) => look(service, message),
          ruleFor,
          gone: () => clients.delete(client),
        });
        clients.add(client);
      });
      server.on("error", (error) => console.error(`tap of ${service}: ${error.message}`));
      doors.add(server);
      return {
        url: `http://127.0.0.1:${port}`,
        open: () =>
          server.listening
            ? Promise.resolve()
            : new Promise((resolve) => server.listen(port, "127.0.0.1", resolve)),
        close() {
          server.close();
          for (const client of clients) client.targetEnded();
        },
      };
    },
    rule(options) {
      const rule = ruleOf(options, (ended) => rules.delete(ended));
      rules.add(rule);
      return rule;
    },
    learn() {
      learning = true;
    },
    clear() {
      learning = false;
      for (const rule of rules) rule.remove();
      known.forget();
    },
    stop() {
      for (const rule of rules) rule.remove();
      for (const server of doors) server.close();
    },
  };
}

interface Rules {
  look(message: Message): Call | undefined;
  ruleFor(call: Call | undefined, at: "before" | "after"): ActiveRule | undefined;
  gone(): void;
}

interface Client {
  /** The process behind has gone: the connection breaks, unless it waits for nothing but the tap. */
  targetEnded(): void;
}

/** The connection to the process, made when it is needed. */
function target(port: number, onEnd: () => void) {
  let socket: Socket | undefined;
  let waiting: { resolve(answer: Buffer): void; reject(error: Error): void } | undefined;
  function connect(): Socket {
    const made = createConnection({ port, host: "127.0.0.1", noDelay: true });
    const answers = framer();
    made.on("data", (chunk: Buffer) => {
      for (const { bytes } of answers.push(chunk)) {
        waiting?.resolve(bytes);
        waiting = undefined;
      }
    });
    made.on("error", () => {});
    made.on("close", () => {
      if (socket === made) socket = undefined;
      const inFlight = waiting;
      waiting = undefined;
      if (inFlight) inFlight.reject(new Error("the process ended"));
      else onEnd();
    });
    return made;
  }
  return {
    /** Sends a request and gives its whole answer; rejects when the connection ends before. */
    exchange(bytes: Buffer): Promise<Buffer> {
      socket ??= connect();
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        socket!.write(bytes);
      });
    },
    end: () => socket?.destroy(),
  };
}

/** Sends a request once more on a connection of its own; nobody hears the answer. */
async function repeat(port: number, bytes: Buffer): Promise<void> {
  const once = target(port, () => {});
  await once.exchange(bytes).catch(() => {});
  once.end();
}

const asleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Joins one caller's connection with one to the process. */
function connection(socket: Socket, port: number, rules: Rules): Client {
  const requests = framer();
  const queue: Message[] = [];
  let working = false;
  let held = false;
  let targetGone = false;
  const behind = target(port, () => {
    if (!held) socket.destroy();
  });

  /** Applies a rule; false when the call is lost. */
  async function apply(rule: ActiveRule, message: Message): Promise<boolean> {
    rule.take();
    const { does, at } = rule.options;
    if (does === "duplicate") {
      const twin = repeat(port, message.bytes);
      if (at === "after") await twin;
      return true;
    }
    if (typeof does === "object") await asleep(does.delayMs);
    else if (does === "park") return (await rule.park(() => !socket.destroyed)) === "deliver";
    else {
      if (does === "reset") socket.resetAndDestroy();
      return false;
    }
    return true;
  }

  async function passes(call: Call | undefined, at: "before" | "after", message: Message): Promise<boolean> {
    const rule = rules.ruleFor(call, at);
    if (!rule) return true;
    held = true;
    try {
      return await apply(rule, message);
    } finally {
      held = false;
    }
  }

  async function serve(message: Message): Promise<void> {
    const call = rules.look(message);
    if (!(await passes(call, "before", message))) return void socket.destroy();
    const answer = await behind.exchange(message.bytes);
    if (!(await passes(call, "after", message))) return void socket.destroy();
    socket.write(answer);
    if (targetGone || call === undefined) return;
    // a late call of a caller that has gone was still delivered; its connection ends here
    if (socket.destroyed) behind.end();
  }

  async function work(): Promise<void> {
    if (working) return;
    working = true;
    try {
      for (let message = queue.shift(); message; message = queue.shift()) await serve(message);
    } catch {
      socket.destroy();
    } finally {
      working = false;
      if (socket.destroyed || targetGone) {
        socket.destroy();
        behind.end();
      }
    }
  }

  socket.on("data", (chunk: Buffer) => {
    queue.push(...requests.push(chunk));
    void work();
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    rules.gone();
    // the process sees that its caller has gone, unless the call is still on its way
    if (!held) behind.end();
  });
  return {
    targetEnded() {
      targetGone = !held;
      if (!working) socket.destroy();
    },
  };
}
