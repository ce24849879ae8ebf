import { within } from "../concurrency";
import { errorFields, type Log } from "../log";
import type { ServiceName } from "../topology";
import type { Discovery, Instance } from "./port";

/** An instance in the registry. */
export interface Presence {
  /** Withdraws it for good; a registry that does not answer is not waited for longer than two seconds. */
  leave(): Promise<void>;
}

interface Options {
  discovery: Discovery;
  service: ServiceName;
  instance: Instance;
  /** Whether the process can serve; asked at each beat. */
  isReady(): Promise<boolean>;
  log: Log;
  beatMs?: number;
}

/** Three beats fit into the time that an announcement holds. */
const beatMsDefault = 1_500;
const leaveMsMax = 2_000;

/** Keeps an instance announced as long as it is ready, and withdraws it when it is not. */
export function keepPresent({ discovery, service, instance, isReady, log, beatMs }: Options): Presence {
  let isAnnounced = false;
  let hasLeft = false;
  let beating: Promise<void> = Promise.resolve();

  async function withdraw(): Promise<void> {
    await discovery.withdraw(service, instance);
    isAnnounced = false;
  }

  async function beat(): Promise<void> {
    try {
      const ready = await isReady();
      if (hasLeft) return;
      if (ready) {
        // before the answer: an announcement whose answer is lost may have been made
        isAnnounced = true;
        await discovery.announce(service, instance);
      } else if (isAnnounced) await withdraw();
    } catch (error) {
      log("warn", "the registry cannot be told", errorFields(error));
    }
  }

  /** One after the other, so that no announcement overtakes the withdrawal. */
  const next = (work: () => Promise<void>): Promise<void> => {
    beating = beating.then(work);
    return beating;
  };
  let isBusy = false;
  const tick = () => {
    if (isBusy) return;
    isBusy = true;
    void next(beat).finally(() => {
      isBusy = false;
    });
  };
  const timer = setInterval(tick, beatMs ?? beatMsDefault);
  tick();
  return {
    async leave() {
      hasLeft = true;
      clearInterval(timer);
      const gone = next(async () => {
        if (isAnnounced) await withdraw();
      });
      await within(leaveMsMax, "leaving the registry", gone).catch((error) =>
        log("warn", "the registry does not know that this instance ends", errorFields(error)),
      );
    },
  };
}
