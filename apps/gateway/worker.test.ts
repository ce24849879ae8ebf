import { expect, spyOn, test } from "bun:test";
import { serviceNames } from "@mall/kernel/topology";
import worker from "./worker";

test("a run of the cron trigger lets each service sweep once; one that fails is logged and keeps no other from it", async () => {
  const swept: string[] = [];
  const bindings = serviceNames.map((name) => [
    name.toUpperCase(),
    {
      async sweep(event: unknown) {
        swept.push(name);
        expect(event).toBeNull();
        if (name === serviceNames[0]) throw new Error("its database is away");
      },
    },
  ]);
  const waited: Promise<unknown>[] = [];
  const context = { waitUntil: (work: Promise<unknown>) => void waited.push(work) };
  const lines = spyOn(console, "log").mockImplementation(() => {});
  try {
    worker.scheduled({}, Object.fromEntries(bindings), context as never);
    await Promise.all(waited);
    expect([swept, waited.length]).toEqual([[...serviceNames], serviceNames.length]);
    expect(lines.mock.calls.map(([line]) => JSON.parse(line as string))).toEqual([
      expect.objectContaining({
        message: "sweep failed",
        callee: serviceNames[0],
        error: "its database is away",
      }),
    ]);
  } finally {
    lines.mockRestore();
  }
});
