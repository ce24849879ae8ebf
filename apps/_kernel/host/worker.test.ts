import { describe, expect, test } from "bun:test";
import { withScope } from "./worker";

/** What workerd keeps a request alive for. */
function context() {
  const kept: Promise<unknown>[] = [];
  return { kept, waitUntil: (work: Promise<unknown>) => void kept.push(work) };
}

describe("a request on a Worker", () => {
  test("is kept alive from its first moment to its end, also when nobody waits for the answer any more", async () => {
    const { kept, waitUntil } = context();
    let finish = () => {};
    let isFinished = false;
    void withScope({ waitUntil }, async () => {
      await new Promise<void>((resolve) => (finish = resolve));
      isFinished = true;
    });
    expect(kept).toHaveLength(1);
    finish();
    await kept[0];
    expect(isFinished).toBe(true);
  });

  test("that fails rejects its answer, not what keeps it alive", async () => {
    const { kept, waitUntil } = context();
    const answer = withScope({ waitUntil }, () => Promise.reject(new Error("broken")));
    await expect(answer).rejects.toThrow("broken");
    expect(await Promise.allSettled(kept)).toEqual([{ status: "fulfilled", value: undefined }]);
  });
});
