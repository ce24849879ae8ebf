import { basename } from "node:path";

const folder = new URL(".", import.meta.resolve("swagger-ui-dist/package.json"));

/** A file of the swagger-ui-dist package on Bun, undefined when it has none of this name. */
export async function docsAsset(name: string): Promise<Response | undefined> {
  if (name !== basename(name)) return undefined;
  const file = Bun.file(new URL(name, folder));
  return (await file.exists()) ? new Response(file) : undefined;
}
