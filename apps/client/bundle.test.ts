import { expect, test } from "bun:test";
import { join } from "node:path";

/** A page that needs these lines, bundled for browsers and minified. */
async function bundled(...lines: string[]): Promise<string> {
  const entry = join(import.meta.dir, "page.ts");
  const built = await Bun.build({
    entrypoints: [entry],
    files: { [entry]: lines.join("\n") },
    target: "browser",
    minify: true,
  });
  return built.outputs[0]!.text();
}

const gzippedKiB = (text: string) => Bun.gzipSync(text).byteLength / 1024;

/** Proto files of ours whose descriptors are in a bundle, where they stand in base64. */
function protosIn(text: string): string[] {
  const decoded = [...text.matchAll(/["'`]([A-Za-z0-9+/]{100,})/g)].map((match) => atob(match[1]!));
  return decoded.flatMap((bytes) => /^\n.(mall\/[\w/]+)\.proto/.exec(bytes)?.[1] ?? []);
}

const session = `import { browserStore, createSession } from "@mall/client/session";
export const session = createSession({ url: "/", store: browserStore() });`;

test("a page over Connect carries the services that it names, and no others", async () => {
  const text = await bundled(
    `import { createClient } from "@connectrpc/connect";`,
    `import { mallTransport } from "@mall/client/connect";`,
    `import { CartService } from "@mall/gen/mall/cart/v1/cart_pb";`,
    session,
    `export const carts = createClient(CartService, mallTransport({ url: "/", session }));`,
  );
  const common = ["fault", "money", "options"].map((name) => `mall/common/v1/${name}`);
  expect(protosIn(text).sort()).toEqual(["mall/cart/v1/cart", ...common]);
  expect(gzippedKiB(text)).toBeLessThan(60);
});

test("a page over REST carries no descriptors and is small", async () => {
  const text = await bundled(
    `import { mallRest } from "@mall/client/rest";`,
    session,
    `export const mall = mallRest({ url: "/", session });`,
  );
  expect(text).not.toContain("protobuf");
  expect(protosIn(text)).toEqual([]);
  expect(gzippedKiB(text)).toBeLessThan(8);
});
