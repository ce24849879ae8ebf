import { expect, test } from "bun:test";
import { faultInfo } from "@mall/kernel/fault";
import { admission } from "./admit";

test("what comes beyond the limit is refused at once and does nothing, and room comes back, also after failures", async () => {
  const admit = admission(2);
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const running = gates.map((gate) => admit(() => gate.promise));
  let ran = false;
  const shed = await admit(async () => {
    ran = true;
  }).catch((error: unknown) => error);
  expect(faultInfo(shed)?.reason).toBe("OVERLOADED");
  expect((shed as { metadata: Headers }).metadata.get("retry-after")).toBe("1");
  expect(ran).toBe(false);
  gates[0]!.reject(new Error("failed"));
  gates[1]!.resolve();
  await Promise.allSettled(running);
  expect(await Promise.all([admit(async () => 1), admit(async () => 2)])).toEqual([1, 2]);
});
