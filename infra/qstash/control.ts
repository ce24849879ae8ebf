import type { Chaos, Faults } from "./deliver";
import type { Recorded, Replay } from "./routes";
import type { Attempt } from "./store";

/** What a stand-in has to do and has done. */
export interface QStashState {
  pending: number;
  inHand: number;
  delivered: number;
  failed: number;
  cancelled: number;
  isHeld: boolean;
  /** How often each kind of chaos has happened. */
  faults: Faults;
}

export type QStashControl = ReturnType<typeof qstashControl>;

/** The control API of a running stand-in, in this process or another one. */
export function qstashControl(url: string, token: string) {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${url}/control/${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!response.ok)
      throw new Error(`the QStash stand-in answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  };
  const state = () => call<QStashState>("GET", "state");
  return {
    state,
    /** What goes wrong from now on; what is not named does not. */
    chaos: (chaos: Partial<Chaos>) => call<Chaos>("PUT", "chaos", chaos),
    /** Accepts messages and delivers none. */
    hold: () => call<QStashState>("POST", "hold"),
    release: () => call<QStashState>("POST", "release"),
    /** Every message that was published and tried, once each, in order of acceptance. */
    recorded: () => call<Recorded[]>("GET", "recorded"),
    /** Up to 1,000 deliveries that were tried after the one numbered `after`. */
    attempts: (after = 0) => call<Attempt[]>("GET", `attempts?after=${after}`),
    /** Delivers recorded messages again, in the order of a seed. */
    replay: (replay: Replay) => call<{ messages: number }>("POST", "replay", replay),
    /** Makes a schedule due now, once. */
    hasten: (scheduleId: string) => call<object>("POST", `schedules/${scheduleId}/hasten`),
    /** Forgets all messages and counts. */
    clear: () => call<QStashState>("DELETE", "messages"),
    /** Waits until nothing is left to deliver. Throws Error after `timeoutMs`. */
    async idle(timeoutMs: number): Promise<QStashState> {
      for (const givenUpAtMs = Date.now() + timeoutMs; ; await Bun.sleep(20)) {
        const now = await state();
        if (now.pending === 0 && now.inHand === 0) return now;
        if (Date.now() > givenUpAtMs) throw new Error(`QStash still has ${now.pending} messages to deliver`);
      }
    },
  };
}
