import { describe, expect, test } from "bun:test";
import { errorFields, jsonLog } from "./log";

function recorded() {
  const lines: string[] = [];
  return { lines, log: jsonLog("cart", "debug", (line) => void lines.push(line)) };
}

describe("a log line", () => {
  test("is one JSON object with service, level and fields", () => {
    const { lines, log } = recorded();
    log("info", "listening", { port: 8080, big: 12n, at: new Date(0) });
    expect(JSON.parse(lines[0]!)).toMatchObject({
      ...{ level: "info", service: "cart", message: "listening" },
      ...{ port: 8080, big: "12", at: "1970-01-01T00:00:00.000Z" },
    });
  });

  test("below the level is not written", () => {
    const lines: string[] = [];
    jsonLog("cart", "warn", (line) => void lines.push(line))("info", "quiet");
    expect(lines).toEqual([]);
  });

  test("holds no card number, wherever it was", () => {
    const { lines, log } = recorded();
    const card = "4111 1111 1111 1111";
    const error = new Error(`Key (email)=(${card}) already exists.`, {
      cause: new Error("4111111111111111"),
    });
    log("error", `refused ${card}`, {
      ...errorFields(error),
      nested: { list: ["ok", "\u00004111111111111111"], "5555555555554444": true },
      number: 4111111111111111,
      big: 4111111111111111n,
      line: "a\n378282246310005",
    });
    const entry = JSON.parse(lines[0]!);
    expect(lines[0]).not.toMatch(/4111|5555|3782/);
    expect(entry).toMatchObject({
      message: "refused [card number]",
      error: "Key (email)=([card number]) already exists.",
      cause: { error: "[card number]" },
      nested: { list: ["ok", "\0[card number]"], "[card number]": true },
      ...{ number: "[card number]", big: "[card number]", line: "a\n[card number]" },
    });
  });

  test("keeps ids, times and counts as they are", () => {
    const { lines, log } = recorded();
    const fields = { requestId: "41111111-1111-4111-8111-111111111111", at: 1_700_000_000_000, n: 1e15 };
    log("info", "order ord_01h455vb4pex5vsknk084sn02q", fields);
    expect(JSON.parse(lines[0]!)).toMatchObject(fields);
  });
});
