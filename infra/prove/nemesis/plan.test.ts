import { expect, test } from "bun:test";
import { randomOf } from "../../random";
import { digestOf, planOf } from "./plan";

const options = { durationMs: 20_000, shoppers: 10, goods: 5, copies: 2, stopMsMax: 4_000 };

test("the same seed plans the same operations and faults, another one others", () => {
  const [first, again, other] = ["a", "a", "b"].map((seed) => planOf(randomOf(seed), options));
  expect(again).toEqual(first!);
  expect(digestOf(again!.shoppers)).toBe(digestOf(first!.shoppers));
  expect(digestOf(other!.shoppers)).not.toBe(digestOf(first!.shoppers));
});

test("a short plan has every kind of operation and of fault", () => {
  const { shoppers, faults } = planOf(randomOf("a"), options);
  const done = new Set(shoppers.flat().map(({ does }) => does));
  expect([...done].sort()).toEqual(["adjust", "browse", "buy", "cancel", "pay later", "receive", "refund"]);
  const broken = new Set<string>(faults.map(({ breaks }) => breaks));
  expect([...broken].sort()).toEqual(
    ["PostgreSQL", "SIGSTOP", "duplicates", "kill -9", "lost answers", "provider", "slow calls"].sort(),
  );
});
