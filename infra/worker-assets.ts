import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { docsAssetNames } from "@mall/kernel/docs";
import { docsAssetUrl } from "@mall/kernel/host/docs-assets";
import { root } from "./repository";

/** Where the gateway's Worker has its static files, as its configuration says from its own folder. */
export const assetsFolder = ".assets";

/**
 * Puts the files of the documentation page and the OpenAPI document where wrangler takes the gateway's static assets
 * from; in the Worker itself they would be most of its size.
 */
export async function prepareWorkerAssets(): Promise<void> {
  const folder = join(root, "wrangler", assetsFolder);
  await mkdir(folder, { recursive: true });
  for (const name of [...docsAssetNames, "openapi.json"])
    await Bun.write(join(folder, name), Bun.file(docsAssetUrl(name)));
}
