import { beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { serveExample } from "@mall/example/serve";
import { chromium } from "playwright-core";
import { host, hostKind } from "./host";

beforeAll(() => host());

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const args = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

test(`a page in Chromium buys with the generated Connect-Web client, as JSON and as binary (${hostKind})`, async () => {
  if (!existsSync(executablePath))
    return console.warn("SKIPPED: Chromium is not installed, no purchase was made in a browser");
  const { url } = await host();
  const page = await serveExample(0);
  const browser = await chromium.launch({ executablePath, args });
  try {
    const tab = await browser.newPage();
    const failures: string[] = [];
    tab.on("console", (message) => message.type() === "error" && failures.push(message.text()));
    await tab.goto(`http://localhost:${page.port}/?mall=${encodeURIComponent(url)}`);
    await tab.click("button");
    await tab.waitForSelector("output[data-state]", { timeout: 60_000 });
    const text = (await tab.textContent("output")) ?? "";
    expect(text).toMatch(/^Order \d+: PAID \(JSON\)\. Order \d+: PAID \(binary\)\. $/);
    expect(failures).toEqual([]);
  } finally {
    await browser.close();
    await page.stop(true);
  }
});
