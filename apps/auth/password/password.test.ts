import { describe, expect, test } from "bun:test";
import { faultInfo } from "@mall/kernel/fault";
import { bunPasswords } from "./bun";
import { passwordContract } from "./contract";
import { limitedPasswords } from "./limited";
import { noblePasswords } from "./noble";
import type { Passwords } from "./port";

const ignore = () => {};
passwordContract("Bun", bunPasswords);
passwordContract("noble", noblePasswords);
passwordContract("a limited driver", (cost) => limitedPasswords(noblePasswords(cost), ignore));

describe("the two drivers", () => {
  test("verify each other's hashes at the real costs", async () => {
    const [bun, noble] = [bunPasswords(), noblePasswords()];
    const [ofBun, ofNoble] = [await bun.hash("correct horse"), await noble.hash("correct horse")];
    for (const phc of [ofBun, ofNoble]) expect(phc).toStartWith("$argon2id$v=19$m=19456,t=2,p=1$");
    expect(await noble.verify("correct horse", ofBun)).toBe(true);
    expect(await bun.verify("correct horse", ofNoble)).toBe(true);
    expect(await noble.verify("wrong horse", ofBun)).toBe(false);
    expect(await bun.verify("wrong horse", ofNoble)).toBe(false);
  });
});

/** A driver whose hashes end when the test says so. */
function manual() {
  const started: (() => void)[] = [];
  let running = 0;
  let runningMax = 0;
  const passwords: Passwords = {
    ...bunPasswords(),
    async hash(password) {
      runningMax = Math.max(runningMax, ++running);
      await new Promise<void>((resolve) => started.push(resolve));
      running--;
      if (password === "broken") throw new Error("broken");
      return password;
    },
  };
  return { passwords, started, runningMax: () => runningMax };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 1));

describe("limits on hashing", () => {
  test("let two run at once and the others wait in order of arrival, also after a failure", async () => {
    const { passwords, started, runningMax } = manual();
    const limited = limitedPasswords(passwords, ignore);
    const done: string[] = [];
    const all = ["broken", "b", "c", "d", "e"].map((name) =>
      limited.hash(name).then(
        (value) => done.push(value),
        () => done.push("failed"),
      ),
    );
    for (let i = 0; i < 5; i++) {
      await settle();
      started[i]!();
    }
    await Promise.all(all);
    expect(done).toEqual(["failed", "b", "c", "d", "e"]);
    expect(runningMax()).toBe(2);
  });

  test("refuse whoever finds the queue full with OVERLOADED and a time to come back", async () => {
    const { passwords, started } = manual();
    const limited = limitedPasswords(passwords, ignore, { concurrentMax: 1, waitingMax: 1 });
    const [first, second] = [limited.hash("a"), limited.hash("b")];
    const refused = await limited.verify("c", passwords.decoy).then(
      () => undefined,
      (error: unknown) => error as { metadata: Headers },
    );
    expect(faultInfo(refused)?.reason).toBe("OVERLOADED");
    expect(refused?.metadata.get("retry-after")).toBe("2");
    await settle();
    started[0]!();
    await settle();
    started[1]!();
    expect(await Promise.all([first, second])).toEqual(["a", "b"]);
    const later = limited.hash("c");
    await settle();
    started[2]!();
    expect(await later).toBe("c");
  });

  test("hand each hash to the host, which keeps it alive when the client goes away", async () => {
    const kept: Promise<unknown>[] = [];
    const limited = limitedPasswords(
      bunPasswords({ memoryKib: 64, passes: 1 }),
      (work) => void kept.push(work),
    );
    await limited.hash("correct horse");
    await limited.verify("correct horse", "nonsense").catch(ignore);
    expect(await Promise.allSettled(kept)).toEqual([
      { status: "fulfilled", value: expect.any(String) },
      { status: "fulfilled", value: undefined },
    ]);
  });

  test("take a password for the same whichever way its characters were composed", async () => {
    const limited = limitedPasswords(bunPasswords({ memoryKib: 64, passes: 1 }), ignore);
    expect(await limited.verify("cafe\u0301", await limited.hash("caf\u00e9"))).toBe(true);
    expect(await limited.verify("cafe", await limited.hash("caf\u00e9"))).toBe(false);
  });
});
