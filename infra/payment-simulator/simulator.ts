import { randomUUID } from "node:crypto";
import { openBooks } from "./books";
import { controlApi } from "./control-api";
import { type ControlClient, controlClient } from "./control-client";
import { faultRules } from "./faults";
import { heldRequests } from "./holds";
import { fileJournal, memoryJournal } from "./journal";
import { json } from "./reply";
import { requestCounts } from "./request-counts";
import { listen } from "./server";
import type { StripeSide } from "./side";
import { stripeApi } from "./stripe-api";
import { webhookSender } from "./webhooks";

export interface SimulatorOptions {
  /** 0 takes a free one. */
  port: number;
  /** Default 127.0.0.1. */
  hostname?: string;
  /** File that the books are kept in; without it they are gone with the process. */
  ledger?: string;
  /** Fixes ids and chances. Default: random. */
  seed?: number | string;
  /** Milliseconds since 1970. */
  clock?: () => number;
}

export interface PaymentSimulator {
  url: string;
  seed: string;
  control: ControlClient;
  stop(): Promise<void>;
}

/** Starts a payment provider on a port of this machine. */
export async function startPaymentSimulator(options: SimulatorOptions): Promise<PaymentSimulator> {
  const { port, hostname = "127.0.0.1", ledger, clock = Date.now } = options;
  const seed = String(options.seed ?? randomUUID());
  const books = openBooks(ledger === undefined ? memoryJournal() : fileJournal(ledger), seed, clock);
  const webhooks = webhookSender(books, seed, clock);
  const holds = heldRequests();
  const side: StripeSide = {
    books,
    webhooks,
    holds,
    faults: faultRules(seed),
    counts: requestCounts(),
    seed,
    clock,
  };
  const stripe = stripeApi(side);
  const listener = await listen({ hostname, port }, async (request) => {
    if (request.path.startsWith("/control/"))
      return { kind: "answer", answer: await controlApi(side, request) };
    if (request.path === "/livez") return { kind: "answer", answer: json(200, { status: "ok", seed }) };
    return stripe(request);
  });
  webhooks.resume();
  const url = `http://${hostname}:${listener.port}`;
  return {
    url,
    seed,
    control: controlClient(url),
    async stop() {
      webhooks.clear();
      holds.release({ all: true }, "drop");
      await listener.stop();
      books.close();
    },
  };
}
