import { expect, test } from "bun:test";
import { balancer, type Ending, ejection } from "./balancer";
import type { Instance } from "./port";

const none: ReadonlySet<string> = new Set();
const named = (...ids: string[]): Instance[] => ids.map((id) => ({ id, url: `http://${id}` }));

/** A balancer on a clock that a test moves, whose probes a test answers. */
function balanced(instances: () => readonly Instance[]) {
  let nowMs = 1_000_000;
  const probes: { id: string; answer: PromiseWithResolvers<void> }[] = [];
  const { pick, hasOther } = balancer({
    ...{ instances, nowMs: () => nowMs },
    probe({ id }) {
      const answer = Promise.withResolvers<void>();
      probes.push({ id, answer });
      return answer.promise;
    },
  });
  const choose = (avoid = none, never = none) => pick(avoid, never)!;
  return {
    ...{ pick, hasOther, choose, probes },
    pass(ms: number) {
      nowMs += ms;
    },
    /** Ends attempts at one instance in a row. */
    end(id: string, ending: Ending, times = 1) {
      const others = new Set(instances().flatMap((other) => (other.id === id ? [] : [other.id])));
      for (let i = 0; i < times; i++) choose(none, others).begin()(ending);
    },
    /** Who gets so many requests, one after the other. */
    shares(count: number) {
      const shares: Record<string, number> = {};
      for (let i = 0; i < count; i++) {
        const { instance, begin } = choose();
        begin()("answered");
        shares[instance.id] = (shares[instance.id] ?? 0) + 1;
      }
      return shares;
    },
  };
}

test("idle instances share evenly, and one that is slow gets what the others do not have to wait for", () => {
  const { choose, shares } = balanced(() => all);
  const all = named("a", "b", "c");
  for (const share of Object.values(shares(3_000))) expect(share).toBeGreaterThan(800);
  const loads: Record<string, number> = {};
  for (let i = 0; i < 300; i++) {
    const { instance, begin } = choose();
    loads[instance.id] = (loads[instance.id] ?? 0) + 1;
    const end = begin();
    // a never answers
    if (instance.id !== "a") end("answered");
  }
  expect(loads.a).toBeLessThanOrEqual(2);
});

test("an instance that fails three times in a row is out for a while that doubles, and back when it says so", async () => {
  const { end, shares, pass, probes } = balanced(() => all);
  const all = named("a", "b");
  end("a", "failed", 2);
  end("a", "answered");
  end("a", "failed", 2);
  expect(shares(100).a).toBeGreaterThan(20);
  end("a", "failed", 3);
  expect(shares(100)).toEqual({ b: 100 });
  expect(probes).toEqual([]);
  pass(ejection.firstMs);
  expect(shares(100)).toEqual({ b: 100 });
  expect(probes.map(({ id }) => id)).toEqual(["a"]);
  probes[0]!.answer.reject(new Error("still away"));
  await Bun.sleep(1);
  pass(ejection.firstMs);
  shares(10);
  expect(probes.length).toBe(1);
  pass(ejection.firstMs);
  shares(10);
  expect(probes.length).toBe(2);
  probes[1]!.answer.resolve();
  await Bun.sleep(1);
  expect(shares(100).a).toBeGreaterThan(20);
});

test("when all are out, all are tried: somebody has to be", () => {
  const { end, choose, hasOther } = balanced(() => all);
  const all = named("a", "b");
  end("a", "failed", 3);
  end("b", "failed", 3);
  expect(choose().instance.id).toMatch(/a|b/);
  expect(hasOther(new Set(["a"]))).toBe(false);
});

test("a caller that went away says nothing about the instance", () => {
  const { end, shares } = balanced(() => all);
  const all = named("a", "b");
  end("a", "left", 50);
  expect(shares(100).a).toBeGreaterThan(20);
});

test("an instance that drains is spared for five seconds, unless there is no other", () => {
  const { end, shares, pass, pick } = balanced(() => all);
  const all = named("a", "b");
  end("a", "draining");
  expect(shares(50)).toEqual({ b: 50 });
  expect(pick(none, new Set(["b"]))?.instance.id).toBe("a");
  pass(ejection.drainingMs);
  expect(shares(100).a).toBeGreaterThan(20);
});

test("who was tried is avoided, who refused is left out, and who is gone is forgotten", () => {
  let all = named("a", "b");
  const { choose, pick, shares } = balanced(() => all);
  for (let i = 0; i < 20; i++) expect(choose(new Set(["a"])).instance.id).toBe("b");
  expect(choose(new Set(["a", "b"])).instance.id).toMatch(/a|b/);
  expect(pick(none, new Set(["a", "b"]))).toBeUndefined();
  all = named("b", "c");
  expect(Object.keys(shares(100)).toSorted()).toEqual(["b", "c"]);
  all = [];
  expect(pick(none, none)).toBeUndefined();
});
