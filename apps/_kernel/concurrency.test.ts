import { describe, expect, test } from "bun:test";
import { turnstile } from "./concurrency";

/** Works that end when they are told, and the order in which they began. */
function works() {
  const began: number[] = [];
  const ends: (() => void)[] = [];
  return {
    began,
    work: (n: number) => () => {
      began.push(n);
      return new Promise<number>((resolve) => {
        ends[n] = () => resolve(n);
      });
    },
    async end(n: number) {
      ends[n]!();
      await Bun.sleep(0);
    },
  };
}

describe("a turnstile", () => {
  test("lets so many in at once, the others in order of arrival, and refuses who finds no place to wait", async () => {
    const { began, work, end } = works();
    const enter = turnstile(2, { waitingMax: 2, refuse: () => new Error("full") });
    const all = [0, 1, 2, 3].map((n) => enter(work(n)));
    await expect(enter(work(4))).rejects.toThrow("full");
    expect(began).toEqual([0, 1]);
    await end(1);
    expect(began).toEqual([0, 1, 2]);
    // who comes now does not go before who waits
    const late = enter(work(5));
    await end(0);
    await end(2);
    expect(began).toEqual([0, 1, 2, 3, 5]);
    await end(3);
    await end(5);
    expect(await Promise.all([...all, late])).toEqual([0, 1, 2, 3, 5]);
  });

  test("follows a limit that changes, and a work that fails leaves its place", async () => {
    const { began, work, end } = works();
    let limit = 1;
    const enter = turnstile(() => limit);
    await expect(enter(() => Promise.reject(new Error("failed")))).rejects.toThrow("failed");
    void [0, 1, 2, 3].map((n) => enter(work(n)));
    expect(began).toEqual([0]);
    limit = 3;
    await end(0);
    expect(began).toEqual([0, 1, 2, 3]);
    limit = 1;
    void enter(work(4));
    await end(1);
    await end(2);
    expect(began).toEqual([0, 1, 2, 3]);
    await end(3);
    expect(began).toEqual([0, 1, 2, 3, 4]);
  });

  test("gives the place of a work that its runtime cut off to the next, and not twice when it ends after all", async () => {
    const { began, work, end } = works();
    let nowMs = 0;
    const enter = turnstile(1, undefined, () => nowMs);
    void [0, 1].map((n) => enter(work(n)));
    nowMs = 121_000;
    void enter(work(2));
    expect(began).toEqual([0]);
    await Bun.sleep(0);
    expect(began).toEqual([0, 1]);
    await end(0);
    expect(began).toEqual([0, 1]);
    await end(1);
    expect(began).toEqual([0, 1, 2]);
  });
});
