import { expect, test } from "bun:test";
import { jsonLog, type LogLevel } from "../log";
import { liveSettings } from "./live";

test("news are taken over, older ones are not, and what cannot be read is as if nobody had set it", () => {
  const settings = liveSettings();
  expect([settings.revision, settings.get("checkout.open")]).toEqual([undefined, undefined]);
  settings.apply(2, {
    "checkout.open": "false",
    "checkout.concurrency": "7",
    "log.level": "loud",
    "x.y": "z",
  });
  expect([settings.get("checkout.open"), settings.get("checkout.concurrency")]).toEqual([false, 7]);
  expect(settings.get("log.level")).toBeUndefined();
  settings.apply(1, { "checkout.open": "true" });
  expect([settings.revision, settings.get("checkout.open")]).toEqual([2, false]);
  settings.apply(3, {});
  expect([settings.revision, settings.get("checkout.open")]).toEqual([3, undefined]);
});

test("a log follows the level it is told", () => {
  const lines: string[] = [];
  let level: LogLevel = "warn";
  const log = jsonLog(
    "test",
    () => level,
    (line) => lines.push(line),
  );
  log("info", "one");
  level = "debug";
  log("info", "two");
  level = "silent";
  log("error", "three");
  expect(lines.map((line) => JSON.parse(line).message)).toEqual(["two"]);
});
