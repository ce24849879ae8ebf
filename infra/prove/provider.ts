import { idOf, uuidOf } from "@mall/kernel/id";
import type postgres from "postgres";
import { stablePorts } from "../cluster/ports";
import { type ControlClient, controlClient } from "../payment-simulator/control-client";
import type { Effect } from "../payment-simulator/control-contract";
import type { Entry } from "../payment-simulator/ledger";
import { root } from "../repository";

/** What a card does at the provider. */
export type Card = "good" | "declined" | "lost";

/** Answers too late, not at all after the money moved, or with an error. */
export type Misbehaviour = "timeout" | "lost answer" | "error";

/** One attempt to pay in the provider's own books; amounts are minor units. */
export interface LedgerEntry {
  /** Id of our payment, a UUID. */
  paymentId: string;
  captures: number;
  captured: bigint;
  refunded: bigint;
}

/** The payment provider that the cluster uses, as its operator sees it. */
export interface Provider {
  name: string;
  /** Environment of the payment service. */
  env: Record<string, string>;
  /** Tells it where the mall is, for its webhooks. */
  open(gateway: string): Promise<void>;
  /** What a customer with such a card sends. */
  payment(card: Card): { method: string; token: string };
  /** Its books; only of these payments (UUIDs), where given. */
  ledger(sql: postgres.Sql, of?: readonly string[]): Promise<LedgerEntry[]>;
  /** Steers the simulator; undefined for a provider that cannot be steered. */
  control?: ControlClient;
  /** Fails the next requests in one way; a provider that cannot does nothing. */
  misbehave(how: Misbehaviour, requests: number): Promise<void>;
  /** How often it did; it behaves from now on. */
  misbehaved(): Promise<Record<string, number>>;
  /** Forgets everything, with a new database. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

/** Tokens that the fake provider and the simulator understand alike. */
const tokens: Record<Card, string> = { good: "tok_ok", declined: "tok_declined", lost: "tok_lost" };

/** The fake provider: its books are tables of the payment service, which it writes in transactions of their own. */
async function fakeProvider(): Promise<Provider> {
  return {
    name: "fake",
    env: { PAYMENT_PROVIDER: "fake" },
    open: async () => {},
    payment: (card) => ({ method: "fake", token: tokens[card] }),
    async ledger(sql, of) {
      const keys = of?.map((id) => idOf("pay", id)) ?? null;
      const rows = await sql<{ key: string; state: string; amount: string; refunded: string }[]>`
        select key, state, amount, refunded from payment.fake_charges
        where ${keys}::text[] is null or key = any(${keys}::text[])`;
      return rows.map(({ key, state, amount, refunded }) => {
        const captured = state === "captured" || state === "refunded";
        return {
          paymentId: uuidOf(key),
          captures: captured ? 1 : 0,
          captured: captured ? BigInt(amount) : 0n,
          refunded: BigInt(refunded),
        };
      });
    },
    misbehave: async () => {},
    misbehaved: async () => ({}),
    reset: async () => {},
    stop: async () => {},
  };
}

/** How the simulator misbehaves: longer than the payment service waits, after the money moved, or instead of it. */
const effects: Record<Misbehaviour, Effect> = {
  timeout: { kind: "delay", when: "before", ms: 6_000 },
  "lost answer": { kind: "reset" },
  error: { kind: "answer", when: "before", status: 500 },
};

/** Entries of the simulator's ledger by payment. */
function summed(entries: readonly Entry[]): LedgerEntry[] {
  const sums = new Map<string, LedgerEntry>();
  for (const { kind, amount, metadata } of entries) {
    const id = metadata.payment_id ? uuidOf(metadata.payment_id) : "";
    const sum = sums.get(id) ?? { paymentId: id, captures: 0, captured: 0n, refunded: 0n };
    sums.set(id, sum);
    if (kind === "capture") {
      sum.captures++;
      sum.captured += BigInt(amount);
    }
    if (kind === "refund") sum.refunded += BigInt(amount);
    if (kind === "refund_failed") sum.refunded -= BigInt(amount);
  }
  return [...sums.values()];
}

async function simulatorProcess(): Promise<{ url: string; stop(): Promise<void> }> {
  const [port] = await stablePorts(1);
  const child = Bun.spawn([process.execPath, "infra/payment-simulator/main.ts"], {
    cwd: root,
    env: { ...process.env, PORT: String(port) },
    ...{ stdin: "ignore", stdout: "ignore", stderr: "inherit" },
  });
  const atExit = () => child.kill("SIGKILL");
  process.once("exit", atExit);
  const url = `http://127.0.0.1:${port}`;
  while (
    !(await fetch(`${url}/livez`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (child.exitCode !== null) throw new Error("the payment simulator did not start");
    await Bun.sleep(20);
  }
  return {
    url,
    async stop() {
      process.off("exit", atExit);
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

const webhookSecret = "whsec_proofs";

/** The Stripe provider of the mall on the simulator, a process of its own with its own ledger. */
async function stripeProvider(): Promise<Provider> {
  const { url, stop } = await simulatorProcess();
  const control = controlClient(url);
  const rules: { how: Misbehaviour; id: string }[] = [];
  return {
    name: "Stripe on the simulator",
    env: {
      ...{ PAYMENT_PROVIDER: "stripe", STRIPE_API_BASE: url },
      ...{ STRIPE_SECRET_KEY: "sk_test_proofs", STRIPE_WEBHOOK_SECRET: webhookSecret },
    },
    async open(gateway) {
      const endpoint = { url: `${gateway}/webhooks/payments/stripe`, secret: webhookSecret };
      await control.setWebhooks({ endpoints: [endpoint] });
    },
    payment: (card) => ({ method: "stripe", token: tokens[card] }),
    async ledger(_, of) {
      if (!of) return summed((await control.ledger()).entries);
      const pages = await Promise.all(of.map((id) => control.ledger({ paymentId: idOf("pay", id) })));
      return summed(pages.flatMap(({ entries }) => entries));
    },
    control,
    async misbehave(how, times) {
      const operation = ["payment_intents.*", "refunds.*"] as const;
      const { id } = await control.addRule({ operation, times, effect: effects[how] });
      rules.push({ how, id });
    },
    async misbehaved() {
      const fired = new Map((await control.rules()).map((rule) => [rule.id, rule.fired]));
      const counts: Record<string, number> = {};
      for (const { how, id } of rules.splice(0)) {
        counts[`provider: ${how}`] = (counts[`provider: ${how}`] ?? 0) + (fired.get(id) ?? 0);
        await control.clearRules(id);
      }
      return counts;
    },
    reset: () => control.reset({ keepWebhooks: true }),
    stop,
  };
}

/** Providers by the name of the option. */
export const providers = { fake: fakeProvider, stripe: stripeProvider };
export type ProviderName = keyof typeof providers;
