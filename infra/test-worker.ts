import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "@mall/kernel/testing/ports";
import { endWrangler, startWrangler } from "./wrangler";

const readyWithinMs = 60_000;

/** A Worker in workerd that answers 404 at its root; `config` is wrangler's. */
export async function startTestWorker(config: string): Promise<{ port: number; stop(): Promise<void> }> {
  const state = mkdtempSync(join(tmpdir(), "mall-test-worker-"));
  const [port] = (await freePorts(1)) as [number];
  const options = ["--local", "--port", String(port), "--inspector-port", "0", "--persist-to", state];
  const env = {
    HOME: process.env.HOME,
    WRANGLER_REGISTRY_PATH: join(state, "registry"),
    WRANGLER_LOG_PATH: join(state, "logs"),
  };
  const worker = startWrangler(["dev", "-c", config, ...options], env, { stderr: "inherit", detached: true });
  const stop = async () => {
    await endWrangler(worker);
    await rm(state, { recursive: true, force: true });
  };
  const isThere = () =>
    fetch(`http://127.0.0.1:${port}/`).then(
      ({ status }) => status === 404,
      () => false,
    );
  for (const untilMs = Date.now() + readyWithinMs; !(await isThere()); await Bun.sleep(100)) {
    if (Date.now() < untilMs) continue;
    await stop();
    throw new Error("workerd did not answer within a minute");
  }
  return { port, stop };
}
