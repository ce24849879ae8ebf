import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { freePorts } from "@mall/kernel/testing/ports";
import { refusal } from "@mall/kernel/testing/refusal";
import { host } from "@mall/mall/e2e/host";

const program = "/usr/sbin/nginx";
const isThere = existsSync(program);
if (!isThere) console.warn("SKIPPED: nginx is not installed, its configuration was not tried");

let folder: string;
let nginx: Bun.Subprocess | undefined;
let httpPort: number;
let httpsPort: number;
let ca: string;

/** Fills in what nginx's Docker image takes from its environment. */
async function rendered(values: Record<string, string>): Promise<string> {
  const template = await readFile(new URL("mall.conf.template", import.meta.url), "utf8");
  return template.replace(/\$\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

beforeAll(async () => {
  if (!isThere) return;
  const mall = await host();
  folder = await mkdtemp(join(tmpdir(), "mall-nginx-"));
  await chmod(folder, 0o755);
  [httpPort, httpsPort] = (await freePorts(2)) as [number, number];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  await Bun.$`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 ${subject} -keyout ${folder}/tls.key -out ${folder}/tls.crt`.quiet();
  ca = await readFile(join(folder, "tls.crt"), "utf8");
  const config = await rendered({
    MALL_HTTP: new URL(mall.url).host,
    MALL_GRPC: mall.grpc!,
    NGINX_HTTP_PORT: `127.0.0.1:${httpPort}`,
    NGINX_HTTPS_PORT: `127.0.0.1:${httpsPort}`,
    NGINX_TLS_DIR: folder,
  });
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  await writeFile(
    join(folder, "nginx.conf"),
    `daemon off; pid ${folder}/pid; error_log ${folder}/error.log warn;
    events { worker_connections 512; }
    http { access_log off; ${paths.join(" ")} ${config} }`,
  );
  nginx = Bun.spawn([program, "-c", `${folder}/nginx.conf`, "-e", `${folder}/error.log`], {
    stdout: "inherit",
    stderr: "inherit",
  });
  for (const until = Date.now() + 20_000; Date.now() < until; await Bun.sleep(50))
    if (
      await get("/livez").then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return;
  throw new Error(await readFile(join(folder, "error.log"), "utf8"));
});

afterAll(async () => {
  nginx?.kill("SIGTERM");
  await nginx?.exited;
  if (folder) await rm(folder, { recursive: true, force: true });
});

const get = (path: string, init: RequestInit = {}) =>
  fetch(`https://localhost:${httpsPort}${path}`, { ...init, tls: { ca } });

describe.skipIf(!isThere)("nginx in front of the gateway", () => {
  test("takes its configuration", async () => {
    const check = Bun.spawn([program, "-t", "-c", `${folder}/nginx.conf`, "-e", "stderr"], {
      stderr: "pipe",
    });
    expect(await new Response(check.stderr).text()).toContain("test is successful");
  });

  test("passes REST, and errors as the gateway makes them", async () => {
    const page = await get("/v1/products?pageSize=1");
    expect(page.status).toBe(200);
    const missing = await get("/v1/products/prod_00000000000000000000000000");
    expect([missing.status, ((await missing.json()) as { reason: string }).reason]).toEqual([
      404,
      "PRODUCT_NOT_FOUND",
    ]);
  });

  test("sends plain HTTP to HTTPS, also for what must not become a GET", async () => {
    const response = await fetch(`http://127.0.0.1:${httpPort}/v1/carts`, {
      method: "POST",
      redirect: "manual",
    });
    expect([response.status, response.headers.get("location")]).toEqual([308, "https://127.0.0.1/v1/carts"]);
  });

  test("passes gRPC with its trailers, and the faults in them", async () => {
    const transport = createGrpcTransport({
      baseUrl: `https://localhost:${httpsPort}`,
      nodeOptions: { ca },
    });
    const products = createClient(ProductService, transport);
    expect((await products.listProducts({ pageSize: 1 })).products).toHaveLength(1);
    // twice: a connection to the gateway must not be used again
    for (const _ of [1, 2])
      expect(await refusal(products.getProduct({ productId: "prod_00000000000000000000000000" }))).toEqual({
        ...{ code: "NotFound", reason: "PRODUCT_NOT_FOUND" },
      });
  });

  test("passes gRPC-Web and Connect over HTTP/2", async () => {
    const session = connectHttp2(`https://localhost:${httpsPort}`, { ca });
    const ask = (type: string, body: string) =>
      new Promise<[number, string]>((resolve, reject) => {
        const path = "/mall.product.v1.ProductService/ListProducts";
        const stream = session.request({ ":method": "POST", ":path": path, "content-type": type });
        let answered: [number, string];
        stream
          .on("response", (headers) => {
            answered = [headers[":status"]!, String(headers["content-type"])];
          })
          .on("end", () => resolve(answered))
          .on("error", reject)
          .resume()
          .end(Buffer.from(body, "latin1"));
      });
    expect(await ask("application/json", "{}")).toEqual([200, "application/json"]);
    expect(await ask("application/grpc-web+proto", "\0\0\0\0\0")).toEqual([
      200,
      "application/grpc-web+proto",
    ]);
    session.close();
  });

  test("answers what is too large as a problem, without asking the gateway", async () => {
    const body = new Uint8Array(16 * 1024 * 1024 + 1);
    const response = await get("/v1/products/import", { method: "POST", body });
    expect([response.status, response.headers.get("content-type")]).toEqual([
      413,
      "application/problem+json",
    ]);
    expect(await response.json()).toMatchObject({ status: 413, reason: "PAYLOAD_TOO_LARGE" });
  });

  test("speaks TLS 1.2 and later, and nothing older", async () => {
    const offer = (version: "TLSv1.1" | "TLSv1.3") =>
      new Promise<string>((resolve) => {
        const socket = connect({
          ...{ host: "localhost", port: httpsPort, ca },
          ...{ minVersion: version, maxVersion: version },
        });
        socket.once("secureConnect", () => resolve(socket.getProtocol() ?? ""));
        socket.once("error", () => resolve("refused"));
      });
    expect([await offer("TLSv1.1"), await offer("TLSv1.3")]).toEqual(["refused", "TLSv1.3"]);
  });
});
