import { basename } from "node:path";

const page = new URL(".", import.meta.resolve("swagger-ui-dist/package.json"));

/** Where the file of a name is: the mall's OpenAPI document, or one of swagger-ui-dist. */
export const docsAssetUrl = (name: string): URL =>
  name === "openapi.json" ? new URL(import.meta.resolve("@mall/gen/openapi/mall.json")) : new URL(name, page);

/** A file of the documentation on Bun, undefined when there is none of this name. */
export async function docsAsset(name: string): Promise<Response | undefined> {
  if (name !== basename(name)) return undefined;
  const file = Bun.file(docsAssetUrl(name));
  return (await file.exists()) ? new Response(file) : undefined;
}
