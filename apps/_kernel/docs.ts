import type { Hono } from "hono";

/** Files of swagger-ui-dist that the page needs, with their types; nothing else of the package is served. */
const assets: Record<string, string> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "favicon-32x32.png": "image/png",
};

/** Files that the page loads from its own origin. */
export const docsAssetNames = Object.keys(assets);

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>EdgeMall API</title>
<link rel="icon" href="./docs/favicon-32x32.png">
<link rel="stylesheet" href="./docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs scripts; the document is at <a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="./docs/swagger-ui-bundle.js"></script>
<script src="./docs/init.js"></script>
</body>
</html>
`;

const init = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  validatorUrl: null,
  tryItOutEnabled: true,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
});
`;

const policy = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data:"],
  ...["connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join("; ");

const maxAgeSeconds = 3600;

const answer = (body: BodyInit | null, type: string): Response =>
  new Response(body, {
    headers: {
      "content-type": type,
      "cache-control": `public, max-age=${maxAgeSeconds}`,
      "content-security-policy": policy,
      "x-content-type-options": "nosniff",
    },
  });

/**
 * Serves a readable page about `/openapi.json` at `/docs`, all from this origin. `asset` gives a file of
 * swagger-ui-dist by its name, or undefined when the host does not have it (404 then).
 */
export function docsRoutes(app: Hono, asset: (name: string) => Promise<Response | undefined>): void {
  app.get("/docs", () => answer(page, "text/html; charset=utf-8"));
  // the page's links start at /docs; relative, so that a prefix in front of the mall stays
  app.get("/docs/", (c) => c.redirect("../docs", 308));
  app.get("/docs/init.js", () => answer(init, "text/javascript; charset=utf-8"));
  app.get("/docs/:file", async (c) => {
    const name = c.req.param("file");
    const type = Object.hasOwn(assets, name) ? assets[name] : undefined;
    const file = type === undefined ? undefined : await asset(name);
    return file ? answer(file.body, type!) : c.notFound();
  });
}
