import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { docsRoutes } from "./docs";
import { docsAsset } from "./host/docs-assets";

const app = new Hono();
docsRoutes(app, docsAsset);
const get = (path: string) => app.request(path);

/** What the page links to, as a browser at `at` resolves it. */
async function linksOf(at: string): Promise<string[]> {
  const html = await (await get(at)).text();
  return [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((m) => new URL(m[1]!, `http://mall${at}`).href);
}

describe("the documentation page", () => {
  test("links to files of its own origin only, and all of them are served with their type", async () => {
    const links = (await linksOf("/docs")).filter((link) => !link.endsWith("/openapi.json"));
    expect(links.length).toBe(4);
    for (const link of links) {
      expect(new URL(link).origin).toBe("http://mall");
      const response = await get(new URL(link).pathname);
      expect([link, response.status]).toEqual([link, 200]);
      expect(response.headers.get("content-type")).toMatch(/^(text\/css|text\/javascript|image\/png)/);
      expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(100);
    }
  });

  test("runs no script and calls no host but its own", async () => {
    for (const path of ["/docs", "/docs/init.js", "/docs/swagger-ui-bundle.js"]) {
      const { headers } = await get(path);
      const policy = headers.get("content-security-policy")!.split("; ");
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("script-src 'self'");
      expect(policy).toContain("connect-src 'self'");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
    }
    const html = await (await get("/docs")).text();
    expect(html).not.toMatch(/<script>|\son\w+=/);
  });

  test("shows the document of its origin and asks no validator", async () => {
    const init = await (await get("/docs/init.js")).text();
    expect(init).toContain('url: "/openapi.json"');
    expect(init).toContain("validatorUrl: null");
    expect(() => new Function("SwaggerUIBundle", init)).not.toThrow();
  });

  test("is reached with a trailing slash, also behind a prefix", async () => {
    const response = await get("/docs/");
    expect(response.status).toBe(308);
    const to = response.headers.get("location")!;
    expect(new URL(to, "http://mall/docs/").pathname).toBe("/docs");
    expect(new URL(to, "http://mall/shop/docs/").pathname).toBe("/shop/docs");
  });

  test("gives out nothing else of the package, nor of the disk", async () => {
    const others = [
      "package.json",
      "index.html",
      "swagger-ui-bundle.js.map",
      "toString",
      "..%2fpackage.json",
      "%2e%2e%2fhono",
    ];
    for (const name of others) expect([name, (await get(`/docs/${name}`)).status]).toEqual([name, 404]);
    expect(await docsAsset("../hono/package.json")).toBeUndefined();
    expect(await docsAsset("no-such-file.js")).toBeUndefined();
  });

  test("answers 404 for a file that the host does not have", async () => {
    const bare = new Hono();
    docsRoutes(bare, async () => undefined);
    expect((await bare.request("/docs/swagger-ui.css")).status).toBe(404);
  });
});
