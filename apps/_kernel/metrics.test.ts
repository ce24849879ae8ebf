import { expect, test } from "bun:test";
import { watchedBreaker } from "./breaker";
import { baseEnv, parseEnv } from "./env";
import { serveMetrics } from "./host/bun";
import { labelled, processMetrics } from "./metrics";
import { freePorts } from "./testing/ports";

test("what was counted is shown as Prometheus reads it, each series by itself", async () => {
  const metrics = processMetrics();
  const own = labelled(metrics, { service: "cart" });
  own.count("mall_ejections_total", { to: "product" });
  own.count("mall_ejections_total", { to: "product" });
  own.count("mall_ejections_total", { to: 'a "b"\\\n' }, 3);
  metrics.gauge("mall_outbox_waiting", {}, async () => 7);
  expect(await metrics.text()).toBe(
    [
      "# HELP mall_ejections_total Times an instance of a service was put out because it failed.",
      "# TYPE mall_ejections_total counter",
      'mall_ejections_total{service="cart",to="product"} 2',
      'mall_ejections_total{service="cart",to="a \\"b\\"\\\\\\n"} 3',
      "# HELP mall_outbox_waiting Events that nobody has taken yet.",
      "# TYPE mall_outbox_waiting gauge",
      "mall_outbox_waiting 7",
      "",
    ].join("\n"),
  );
});

test("a gauge that cannot be read, or not soon, is left out; the others are there", async () => {
  const metrics = processMetrics();
  metrics.gauge("mall_outbox_waiting", { service: "auth" }, () => Promise.reject(new Error("away")));
  metrics.gauge("mall_outbox_waiting", { service: "user" }, () => new Promise(() => {}));
  metrics.gauge("mall_outbox_waiting", { service: "cart" }, () => {
    throw new Error("away");
  });
  metrics.gauge("mall_outbox_waiting", { service: "order" }, () => 1);
  metrics.gauge("mall_outbox_oldest_seconds", {}, () => new Promise(() => {}));
  const startedMs = performance.now();
  const lines = (await metrics.text()).split("\n").filter((line) => line && !line.startsWith("#"));
  expect(lines).toEqual(['mall_outbox_waiting{service="order"} 1']);
  expect(performance.now() - startedMs).toBeLessThan(1_900);
});

test("a breaker shows whether it is open", async () => {
  const metrics = processMetrics();
  const seen: unknown[] = [];
  const watch = { metrics, log: (...line: unknown[]) => void seen.push(line) };
  const one = watchedBreaker(watch, "cache", { failuresMax: 1, pauseMs: 1_000 });
  const state = async () => /mall_breaker_open\{dependency="cache"\} (\d)/.exec(await metrics.text())?.[1];
  expect(await state()).toBe("0");
  one.failed();
  expect(await state()).toBe("1");
  one.succeeded();
  expect(await state()).toBe("0");
  expect(seen).toEqual([
    ["warn", "breaker changed", { dependency: "cache", state: "open" }],
    ["warn", "breaker changed", { dependency: "cache", state: "closed" }],
  ]);
});

test("a process shows them on the operators' port alone, and only if it has one", async () => {
  const [port] = (await freePorts(1)) as [number];
  const metrics = processMetrics();
  metrics.count("mall_ejections_total", { to: "product" });
  serveMetrics(parseEnv(baseEnv, {}), metrics)();
  const stop = serveMetrics(parseEnv(baseEnv, { ADMIN_PORT: String(port) }), metrics);
  try {
    const shown = await fetch(`http://127.0.0.1:${port}/metrics`);
    expect([shown.status, shown.headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4"]);
    expect(await shown.text()).toContain('mall_ejections_total{to="product"} 1');
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404);
  } finally {
    stop();
  }
});
