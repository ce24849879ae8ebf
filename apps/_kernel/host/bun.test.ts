import { expect, test } from "bun:test";
import type { MallApp } from "../app";
import { startSweeps } from "./bun";

test("a duty that hangs holds up no other, and none runs twice at once", async () => {
  const hanging = Promise.withResolvers<void>();
  const counts = { hangs: 0, quick: 0, breaks: 0 };
  const duties = [
    () => {
      counts.hangs++;
      return hanging.promise;
    },
    async () => void counts.quick++,
    async () => {
      counts.breaks++;
      throw new Error("broken");
    },
  ];
  const errors: unknown[] = [];
  const stop = startSweeps(
    [{ name: "user", duties } as unknown as MallApp],
    1,
    (_level, _message, fields) => {
      errors.push(fields?.error);
    },
  );
  while (counts.quick < 5 || counts.breaks < 5) await Bun.sleep(1);
  expect(counts.hangs).toBe(1);
  expect(new Set(errors)).toEqual(new Set(["broken"]));
  hanging.resolve();
  while (counts.hangs < 2) await Bun.sleep(1);
  stop();
});
