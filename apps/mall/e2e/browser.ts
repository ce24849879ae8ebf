import { serveExample } from "@mall/example/serve";
import { atEnd } from "@mall/kernel/testing/cleanup";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { launchChromium } from "./chromium";
import { host } from "./host";

const picture = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"/>`;
let started: Promise<{ browser: Browser; url: string }> | undefined;

async function start() {
  const { url } = await host();
  const [example, browser] = await Promise.all([serveExample(url), launchChromium()]);
  atEnd(async () => {
    await browser.close();
    await example.stop();
  });
  return { browser, url: example.url };
}

/** The shop in a browser of its own, as one customer has it. */
export interface Shop {
  tab: Page;
  context: BrowserContext;
  url: string;
  /** Errors of the page and of its security policy; refusals of the mall are none. */
  errors: string[];
}

/** Opens the example page as a new customer. The demo catalogue's pictures, which are nowhere, are answered here. */
export async function openShop(): Promise<Shop> {
  started ??= start();
  const { browser, url } = await started;
  const context = await browser.newContext({ viewport: { width: 1100, height: 800 } });
  context.setDefaultTimeout(30_000);
  const errors: string[] = [];
  context.on("weberror", (error) => errors.push(String(error.error())));
  context.on("console", (line) => {
    if (line.type() === "error" && !line.text().startsWith("Failed to load resource"))
      errors.push(line.text());
  });
  await context.route("https://example.com/**", (route) =>
    route.fulfill({ contentType: "image/svg+xml", body: picture }),
  );
  const tab = await context.newPage();
  await tab.goto(url);
  return { tab, context, url, errors };
}
