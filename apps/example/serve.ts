import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";

/**
 * Builds the page for a mall and serves it on an origin of its own, as a web server would, so that the browser needs
 * CORS to reach the mall.
 */
export async function serveExample(mallUrl: string) {
  const outDir = await mkdtemp(join(tmpdir(), "mall-example-"));
  const build = Bun.spawn(["bun", "run", "--silent", "build", "--outDir", outDir, "--logLevel", "warn"], {
    cwd: import.meta.dir,
    env: { ...process.env, VITE_MALL_URL: mallUrl },
    stdio: ["ignore", "inherit", "inherit"],
  });
  if ((await build.exited) !== 0) throw new Error("the example could not be built");
  const server = Bun.serve({
    port: 0,
    development: false,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const file = Bun.file(join(outDir, normalize(pathname === "/" ? "/index.html" : pathname)));
      return (await file.exists()) ? new Response(file) : new Response("not found", { status: 404 });
    },
  });
  return {
    url: `http://localhost:${server.port}`,
    async stop() {
      await server.stop(true);
      await rm(outDir, { recursive: true, force: true });
    },
  };
}
