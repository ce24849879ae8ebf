import { readContract } from "./contract";
import { documentsOf } from "./document";

const folder = new URL("../../gen/openapi/", import.meta.url);

/** The files of gen/openapi, by path, with their text. */
export async function openapiFiles(): Promise<Map<string, string>> {
  const documents = documentsOf(await readContract());
  return new Map(
    [...documents].map(([name, document]) => [
      new URL(`${name}.json`, folder).pathname,
      `${JSON.stringify(document, null, 2)}\n`,
    ]),
  );
}

if (import.meta.main) {
  for (const [path, text] of await openapiFiles()) await Bun.write(path, text);
}
