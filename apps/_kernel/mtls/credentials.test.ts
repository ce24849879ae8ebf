import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmodSync, rmSync } from "node:fs";
import { baseEnv, parseEnv } from "../env";
import { jsonLog } from "../log";
import { ownInstance } from "../registry/settings";
import { staticDiscovery } from "../registry/static";
import {
  hoursFromNow,
  newAuthority,
  newLeaf,
  replaceFile,
  type TestFiles,
  testCredentials,
  testFiles,
} from "../testing/certificates";
import type { CallerName } from "../topology";
import { judge, readCredentials, type TlsFiles } from "./credentials";
import { liveCredentials } from "./live";
import { ownCredentials } from "./settings";
import { spiffeNameIn } from "./spiffe";

const authority = await newAuthority();
const silent = jsonLog("test", "silent");
const goodFiles = async () => testFiles([authority], await newLeaf(authority, "order"));

/** What a process of this service is told that starts with these files. */
function startOf(files: Partial<TlsFiles>, name: CallerName = "order"): string {
  try {
    const { TLS_CA, TLS_CERT, TLS_KEY } = files;
    ownCredentials(parseEnv(baseEnv, { TLS_CA, TLS_CERT, TLS_KEY }), name, silent)?.stop();
    return "starts";
  } catch (error) {
    return (error as Error).message;
  }
}

describe("a process", () => {
  test("starts with good files, and without any", async () => {
    expect(startOf(await goodFiles())).toBe("starts");
    expect(startOf({})).toBe("starts");
  });

  const broken: [string, RegExp, (files: TestFiles) => unknown][] = [
    ["is missing", /TLS_KEY: \S+ cannot be read \(ENOENT\)/, ({ TLS_KEY }) => rmSync(TLS_KEY)],
    ["is missing", /TLS_CA: \S+ cannot be read \(ENOENT\)/, ({ TLS_CA }) => rmSync(TLS_CA)],
    [
      "can be read by the group",
      /TLS_KEY: \S+ can be read by others \(mode 640\); chmod 600 it/,
      ({ TLS_KEY }) => chmodSync(TLS_KEY, 0o640),
    ],
    ["can be read by all", /TLS_KEY: \S+ can be read by others/, ({ TLS_KEY }) => chmodSync(TLS_KEY, 0o604)],
    [
      "can be changed by others",
      /TLS_CA: \S+ can be changed by others \(mode 666\); chmod 644 it/,
      ({ TLS_CA }) => chmodSync(TLS_CA, 0o666),
    ],
    ["is empty", /TLS_CERT: \S+ holds no certificate/, ({ TLS_CERT }) => replaceFile(TLS_CERT, "", 0o644)],
    ["is garbage", /TLS_KEY: \S+ holds no private key/, ({ TLS_KEY }) => replaceFile(TLS_KEY, "key", 0o600)],
    [
      "is no authority's",
      /TLS_CA: \S+ holds a certificate that is no authority's/,
      async ({ TLS_CA }) => replaceFile(TLS_CA, (await newLeaf(authority, "cart")).certificate, 0o644),
    ],
    [
      "is another certificate's key",
      /TLS_KEY: \S+ is not the key of the certificate/,
      async ({ TLS_KEY }) => replaceFile(TLS_KEY, (await newLeaf(authority, "order")).key, 0o600),
    ],
    [
      "has ended",
      /TLS_CERT: the certificate in \S+ is not valid at this time/,
      async (files) => files.take(await newLeaf(authority, "order", { to: hoursFromNow(-0.1) })),
    ],
    [
      "is for clients only",
      /TLS_CERT: the certificate in \S+ is not meant for a server/,
      async (files) => files.take(await newLeaf(authority, "order", { usages: ["client"] })),
    ],
    [
      "is of an authority that is not trusted",
      /TLS_CERT: the certificate in \S+ is of no authority in TLS_CA/,
      async (files) => files.take(await newLeaf(await newAuthority(), "order")),
    ],
    [
      "is another service's",
      /TLS_CERT: \S+ is the certificate of cart, this is order/,
      async (files) => files.take(await newLeaf(authority, "cart")),
    ],
  ];
  for (const [i, [what, sentence, spoil]] of broken.entries())
    test(`does not start when a file ${what} (${i + 1})`, async () => {
      const files = await goodFiles();
      await spoil(files);
      expect(startOf(files)).toMatch(sentence);
    });

  test("does not start with some of the files", async () => {
    const { TLS_CA, TLS_KEY } = await goodFiles();
    expect(startOf({ TLS_CA, TLS_KEY })).toContain("TLS_CERT: must be set when another TLS_* is");
  });

  test("does not start with addresses in the clear beside it", async () => {
    const { TLS_CA, TLS_CERT, TLS_KEY } = await goodFiles();
    const env = { TLS_CA, TLS_CERT, TLS_KEY };
    const CART_URL = "https://10.0.0.1:9002,http://10.0.0.2:8002";
    expect(() => staticDiscovery({ ...env, CART_URL })).toThrow("CART_URL: must begin with https://");
    expect(staticDiscovery(env).instances("cart")).toEqual([
      { id: "https://127.0.0.1:9002", url: "https://127.0.0.1:9002" },
    ]);
    const told = parseEnv(baseEnv, { ...env, ADVERTISED_URL: "http://10.0.0.1:9002" });
    expect(() => ownInstance(told, 9002)).toThrow("ADVERTISED_URL: must begin with https://");
    expect(ownInstance(parseEnv(baseEnv, env), 9002).url).toMatch(/^https:\/\/[\d.]+:9002$/);
  });
});

describe("files that change", () => {
  test("are taken when they are whole, and left when they are not", async () => {
    const files = await goodFiles();
    const live = testCredentials(files);
    let changes = 0;
    live.onChange(() => changes++);
    const before = live.current;
    const next = await newLeaf(authority, "order");
    replaceFile(files.TLS_KEY, next.key, 0o600);
    await Bun.sleep(100);
    expect(live.current).toBe(before);
    replaceFile(files.TLS_CERT, next.certificate, 0o644);
    await Bun.sleep(100);
    expect(new X509Certificate(live.current.cert).toString()).toBe(
      new X509Certificate(next.certificate).toString(),
    );
    expect(changes).toBe(1);
    chmodSync(files.TLS_KEY, 0o644);
    rmSync(files.TLS_CA);
    await Bun.sleep(100);
    expect(changes).toBe(1);
  });

  test("that stay broken are said once, and so is a certificate that ends soon", async () => {
    const files = await goodFiles();
    const said: string[] = [];
    let now = new Date();
    const log = (level: string, message: string) => void said.push(`${level} ${message}`);
    const live = liveCredentials(files, { log, clock: () => now, everyMs: 10 });
    replaceFile(files.TLS_CERT, "half a file", 0o644);
    await Bun.sleep(150);
    expect(said).toEqual(["error certificates cannot be used, those before stay"]);
    now = hoursFromNow(0.6);
    await Bun.sleep(100);
    live.stop();
    expect(said.slice(1)).toEqual(["warn the certificate of this process ends soon"]);
  });
});

describe("a name", () => {
  test("is the one SPIFFE id of somebody in the call table", () => {
    expect(spiffeNameIn("URI:spiffe://mall/order")).toEqual({ trustDomain: "mall", name: "order" });
    const wrong = [
      undefined,
      "",
      "DNS:order",
      "URI:spiffe://mall/order, URI:spiffe://mall/cart",
      "URI:spiffe://mall/order, DNS:cart",
      'DNS:"URI:spiffe://mall/order"',
      "URI:spiffe://mall/order\n",
      "URI:spiffe://mall/order/",
      "URI:spiffe://mall//order",
      "URI:spiffe://mall:8000/order",
      "URI:spiffe:///order",
      "URI:https://mall/order",
      "URI:spiffe://mall/constructor",
    ];
    expect(wrong.filter((text) => spiffeNameIn(text) !== undefined)).toEqual([]);
  });

  test("in the certificate of an authority counts for nothing", () => {
    const certificate = new X509Certificate(authority.certificate);
    expect(judge(certificate, [certificate], [], new Date())).toEqual({ refusal: "is that of an authority" });
  });

  test("of an authority that has ended counts for nothing", async () => {
    const files = await goodFiles();
    const { authorities } = readCredentials(files, new Date());
    const leaf = new X509Certificate(
      (await newLeaf(authority, "order", { to: hoursFromNow(48) })).certificate,
    );
    expect(judge(leaf, authorities, ["client"], hoursFromNow(23))).toMatchObject({ name: "order" });
    expect(judge(leaf, authorities, ["client"], hoursFromNow(25))).toHaveProperty("refusal");
  });
});
