import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveExample } from "@mall/example/serve";
import { freePorts } from "@mall/kernel/testing/ports";
import { hasChromium, launchChromium } from "@mall/mall/e2e/chromium";
import type { Page } from "playwright-core";
import { root } from "./repository";

/*
 * bun run screenshots [folder]    pictures of the example page and of the documentation page, for the README
 */

const folder = process.argv[2] ?? `${root}/infra/docs`;
const readyMsMax = 120_000;

/** A mall with the demo catalogue in a folder of its own. */
async function startMall() {
  const dataDir = await mkdtemp(join(tmpdir(), "mall-screenshots-"));
  const [port, grpcPort] = (await freePorts(2)) as [number, number];
  const env = { ...process.env, MALL_DATA_DIR: dataDir, PORT: String(port), GRPC_PORT: String(grpcPort) };
  const child = Bun.spawn(["bun", "apps/mall/dev.ts"], {
    cwd: root,
    env: { ...env, LOG_LEVEL: "error" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const url = `http://localhost:${port}`;
  const isReady = () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  for (const until = Date.now() + readyMsMax; !(await isReady()); await Bun.sleep(200))
    if (Date.now() > until || child.exitCode !== null) throw new Error("the mall did not start");
  return {
    url,
    async stop() {
      child.kill("SIGTERM");
      await child.exited;
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** The catalogue, as a visitor finds it. */
async function shootShop(tab: Page, url: string): Promise<void> {
  await tab.goto(url);
  await tab.getByRole("heading", { name: "All products" }).waitFor();
  await tab.screenshot({ path: `${folder}/example-page.png` });
}

/** The documentation with one operation open. */
async function shootDocs(tab: Page, url: string): Promise<void> {
  await tab.goto(`${url}/docs`);
  const operation = tab.locator("[id$=-PlaceOrder]").first();
  await operation.getByRole("button").first().click();
  await operation.getByText("Parameters").first().waitFor();
  await operation.evaluate((element) => element.closest(".opblock-tag-section")?.scrollIntoView());
  await tab.screenshot({ path: `${folder}/docs-page.png` });
}

if (!hasChromium) {
  console.error(
    "SKIPPED: Chromium is not installed, no screenshots were made (infra/install-debian.sh installs it)",
  );
  process.exit(1);
}
const mall = await startMall();
const [example, browser] = await Promise.all([serveExample(mall.url), launchChromium()]);
try {
  const context = await browser.newContext({ viewport: { width: 1000, height: 640 } });
  // pictures of the demo catalogue are nowhere: without them the page shows letters
  await context.route("https://example.com/**", (route) => route.abort());
  await shootShop(await context.newPage(), example.url);
  await shootDocs(await context.newPage(), mall.url);
} finally {
  await browser.close();
  await example.stop();
  await mall.stop();
}
