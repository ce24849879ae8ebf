/** Bundles the example and serves it on an origin of its own, so that the browser needs CORS to reach the mall. */
export async function serveExample(port: number) {
  const built = await Bun.build({
    entrypoints: [new URL("./shop.ts", import.meta.url).pathname],
    target: "browser",
  });
  if (!built.success) throw new AggregateError(built.logs, "the example could not be bundled");
  const script = await built.outputs[0]!.text();
  const page = await Bun.file(new URL("./index.html", import.meta.url)).text();
  return Bun.serve({
    port,
    development: false,
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/") return new Response(page, { headers: { "content-type": "text/html" } });
      if (pathname === "/shop.js")
        return new Response(script, { headers: { "content-type": "text/javascript" } });
      return new Response("not found", { status: 404 });
    },
  });
}

if (import.meta.main) {
  const { port } = await serveExample(Number(process.env.EXAMPLE_PORT ?? 8090));
  console.log(`Example page: http://localhost:${port}/?mall=http://localhost:8080`);
}
