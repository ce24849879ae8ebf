import { describe, expect, test } from "bun:test";
import type { MallApp } from "../app";
import { withScope, workerOf } from "./worker";

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

test("a Worker serves nothing before its service has started, and tries that again", async () => {
  const starts: string[] = [];
  let isKeyRight = false;
  const app = {
    async start() {
      starts.push("start");
      if (!isKeyRight) throw new Error("MALL_MASTER_KEY is not the key");
    },
    fetch: async () => new Response("served"),
  };
  const worker = workerOf("user", () => app as unknown as MallApp);
  const ask = () => worker.fetch(new Request("http://user/"), {}, context());
  await expect(ask()).rejects.toThrow("MALL_MASTER_KEY is not the key");
  isKeyRight = true;
  expect(await (await ask()).text()).toBe("served");
  await ask();
  expect(starts).toHaveLength(2);
});
