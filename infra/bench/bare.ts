/** The machine's own limit: a Bun.serve that answers one prepared JSON body. Started by bench.ts with PORT and BODY_BYTES. */
const body = JSON.stringify({ filler: "x".repeat(Math.max(0, Number(process.env.BODY_BYTES) - 13)) });
Bun.serve({
  port: Number(process.env.PORT),
  development: false,
  fetch: () => new Response(body, { headers: { "content-type": "application/json" } }),
});
