import type { Cluster } from "../cluster";
import type { Rule } from "../tap-rules";
import type { Fault } from "./plan";

/** Calls between services that may be lost, late or repeated at any time; those of customers are theirs to repeat. */
const repeatable = [
  ...["LockCart", "UnlockCart", "ConvertCart", "RedeemCoupon", "ReleaseCoupon", "BatchGetVariants"],
  ...["ReserveStock", "ReleaseStock", "ExtendStock", "ClaimStock", "RestockStock"],
  ...["CreateOrder", "AbandonOrder", "BeginOrderPayment", "EndOrderPayment", "MarkOrderPaid", "GetOrder"],
  ...["AuthorizePayment", "VoidPayment", "VoidOrderPayments", "POST /events"],
];

/** Breaks things as planned, and repairs them. */
export function breakerOf(cluster: Cluster, startedMs: number) {
  const { tap, provider } = cluster;
  const done: Record<string, number> = {};
  const count = (what: string, times = 1) => {
    done[what] = (done[what] ?? 0) + times;
  };
  const rules: { what: string; rule: Rule }[] = [];

  async function stop(fault: Extract<Fault, { breaks: "SIGSTOP" }>): Promise<void> {
    const node = cluster.nodesOf(fault.service)[fault.copy]!;
    node.pause();
    count("SIGSTOP");
    await Bun.sleep(fault.forMs);
    node.resume();
  }

  async function kill({ service, which, downMs }: Extract<Fault, { breaks: "kill -9" }>): Promise<void> {
    const nodes = cluster.nodesOf(service);
    const doomed = which === "all" ? nodes : nodes.slice(0, 1);
    await Promise.all(doomed.map((node) => node.kill(downMs)));
    count("kill -9", doomed.length);
  }

  async function apply(fault: Fault): Promise<void> {
    const add = (options: Pick<Parameters<typeof tap.rule>[0], "does" | "at">, times: number) =>
      rules.push({ what: fault.breaks, rule: tap.rule({ rpc: repeatable, times, ...options }) });
    switch (fault.breaks) {
      case "kill -9":
        return kill(fault);
      case "SIGSTOP":
        return stop(fault);
      case "PostgreSQL":
        await cluster.postgres.crash();
        return count("PostgreSQL crashes");
      case "duplicates":
        return void add({ at: fault.at, does: "duplicate" }, fault.calls);
      case "lost answers":
        return void add({ at: fault.at, does: "close" }, fault.calls);
      case "slow calls":
        return void add({ at: "before", does: { delayMs: fault.delayMs } }, fault.calls);
      case "provider":
        return provider.misbehave(fault.how, fault.calls);
    }
  }

  /** One crash of PostgreSQL at a time. */
  let crashes = Promise.resolve();
  const start = (fault: Fault): Promise<void> => {
    if (fault.breaks !== "PostgreSQL") return apply(fault);
    crashes = crashes.then(() => apply(fault));
    return crashes;
  };

  return {
    /** Breaks everything in time, while `goesOn` says so; ends when nothing is broken any more. */
    async run(faults: readonly Fault[], goesOn: () => boolean): Promise<void> {
      const broken: Promise<void>[] = [];
      for (const fault of faults) {
        await Bun.sleep(Math.max(0, startedMs + fault.atMs - performance.now()));
        if (!goesOn()) break;
        const breaking = start(fault);
        breaking.catch(() => {}); // told below
        broken.push(breaking);
      }
      await Promise.all(broken);
      await cluster.ready();
    },
    /** What happened, once it has ended. */
    async faults(): Promise<Record<string, number>> {
      for (const { what, rule } of rules) {
        count(what, rule.fired);
        rule.remove();
      }
      return { ...done, ...(await provider.misbehaved()) };
    },
  };
}
