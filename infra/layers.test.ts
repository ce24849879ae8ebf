import { describe, expect, test } from "bun:test";
import { calls, serviceNames, subscriptions } from "@mall/kernel/topology";
import {
  bunOnlyReaches,
  circleIn,
  consumedEvents,
  importsOf,
  type Manifest,
  undeclaredImports,
  violationsOf,
} from "./layers";
import { repositoryFiles, textOf } from "./repository";

const files = repositoryFiles();
const sources = new Map(
  files.filter((file) => /^(?:apps|db|infra)\/.*\.ts$/.test(file)).map((file) => [file, textOf(file)]),
);
const manifests = new Map<string, Manifest>(
  files
    .filter((file) => /(?:^|\/)package\.json$/.test(file))
    .map((file) => [file.replace(/\/?package\.json$/, ""), JSON.parse(textOf(file))]),
);

const importing = (...specs: string[]): string =>
  specs.map((spec) => `import { x } from "${spec}";`).join("\n");

describe("this repository", () => {
  test("has sources to look at", () => {
    expect(sources.size).toBeGreaterThan(100);
    expect([...manifests.keys()]).toContain("apps/order");
  });

  test("keeps its layers", () => {
    expect([...sources].flatMap(([file, source]) => violationsOf(file, source))).toEqual([]);
  });

  test("declares what it imports", () => {
    expect([...sources].flatMap(([file, source]) => undeclaredImports(file, source, manifests))).toEqual([]);
  });

  test("calls without a circle", () => {
    expect(circleIn(calls)).toBeUndefined();
  });

  test("subscribes to exactly the events it consumes, and they exist", () => {
    const consumed = serviceNames.flatMap((name) =>
      [...sources]
        .filter(([file]) => file.startsWith(`apps/${name}/`) && !file.endsWith(".test.ts"))
        .flatMap(([, source]) => consumedEvents(source).map((type) => `${type} → ${name}`)),
    );
    const subscribed = Object.entries(subscriptions).flatMap(([type, names]) =>
      names.map((name) => `${type} → ${name}`),
    );
    expect(consumed.sort()).toEqual(subscribed.sort());
    for (const type of Object.keys(subscriptions)) {
      const [, service, , name] = type.split(".");
      expect(textOf(`gen/es/mall/${service}/v1/events_pb.ts`)).toContain(`export const ${name}Schema`);
    }
  });

  test("brings nothing into a Worker that only Bun has", () => {
    const entries = [...sources.keys()].filter((file) => /^apps\/[^/]+\/worker\.ts$/.test(file));
    expect(entries).toHaveLength(serviceNames.length + 1);
    expect(entries.flatMap((entry) => bunOnlyReaches(entry, sources))).toEqual([]);
  });
});

describe("an import is found", () => {
  const found = (source: string) => importsOf(source).map(({ spec, isTypeOnly }) => [spec, isTypeOnly]);

  test("in every form it can have", () => {
    expect(found('import a from "a";')).toEqual([["a", false]]);
    expect(found('import "side-effect";')).toEqual([["side-effect", false]]);
    expect(found("import * as b from 'b';")).toEqual([["b", false]]);
    expect(found('import {\n  type C,\n  d,\n} from "many/lines";')).toEqual([["many/lines", false]]);
    expect(found('import type { E } from "e";')).toEqual([["e", true]]);
    expect(found('import data from "./f.json" with { type: "json" };')).toEqual([["./f.json", false]]);
    expect(found('export { g } from "g";\nexport type * from "h";')).toEqual([
      ["g", false],
      ["h", true],
    ]);
    expect(found('const i = await import("bun:test");')).toEqual([["bun:test", false]]);
    expect(found("const j = require('bun:test');")).toEqual([["bun:test", false]]);
  });

  test("but not in a comment, an export of its own or import.meta", () => {
    expect(found('// import a from "a"\n/** import b from "b" */')).toEqual([]);
    expect(found('export const from = "x";\nconst at = import.meta.url + "y";')).toEqual([]);
  });
});

/** file, import, part of the lesson */
const refused: [string, string, RegExp][] = [
  ["apps/order/domain/order.ts", "@mall/gen/mall/order/v1/order_pb", /domain\/ is pure/],
  ["apps/order/domain/order.ts", "@mall/kernel/db/client", /domain\/ is pure/],
  ["apps/order/domain/order.ts", "../db/orders", /domain\/ is pure/],
  ["apps/order/domain/order.ts", "node:crypto", /domain\/ is pure/],
  ["apps/order/domain/order.test.ts", "@mall/kernel/testing/harness", /domain test is pure/],
  ["apps/order/db/orders.ts", "@mall/gen/mall/order/v1/order_pb", /db\/ turns rows/],
  ["apps/order/db/orders.ts", "../transport/codec", /db\/ turns rows/],
  ["apps/order/db/orders.ts", "@mall/db/payment", /its own tables/],
  ["apps/order/db/orders.ts", "postgres", /db\/ turns rows/],
  ["apps/order/application/get-order.ts", "@mall/gen/mall/order/v1/order_pb", /application\/ loads, decides/],
  ["apps/order/application/get-order.ts", "drizzle-orm", /SQL is db's/],
  ["apps/order/application/get-order.ts", "hono", /application\/ loads, decides/],
  ["apps/order/application/get-order.ts", "../env", /configuration comes through deps/],
  ["apps/order/application/get-order.ts", "@mall/kernel/env", /configuration comes through deps/],
  ["apps/order/application/get-order.ts", "../transport/codec", /application\/ loads, decides/],
  ["apps/payment/application/settle.ts", "../providers/fake", /ports/],
  ["apps/product/application/get-product.ts", "@mall/gen/mall/cart/v1/cart_pb", /neighbours' messages/],
  ["apps/order/transport/rpc.ts", "../db/orders", /never rows/],
  ["apps/order/transport/rpc.ts", "drizzle-orm", /never rows/],
  ["apps/order/transport/events.ts", "@mall/gen/mall/auth/v1/events_pb", /transport\/ translates/],
  ["apps/order/env.ts", "@mall/kernel/app", /env\.ts is the zod schema/],
  ["apps/order/deps.ts", "drizzle-orm", /deps\.ts names/],
  ["apps/order/service.ts", "@mall/cart/service", /knows no other service/],
  ["apps/order/service.ts", "../cart/service", /knows no other service/],
  ["apps/order/service.ts", "@mall/db/migrations/cart/meta/_journal.json", /knows no other service/],
  ["apps/order/service.ts", "@mall/kernel/host/bun", /no driver of one runtime/],
  ["apps/order/service.ts", "drizzle-orm", /no SQL/],
  ["apps/order/main.ts", "hono", /main\.ts is the Bun host/],
  ["apps/order/worker.ts", "@mall/kernel/host/bun", /worker\.ts is the Workers host/],
  ["apps/order/service.test.ts", "@mall/cart/service", /neighbours are fakes/],
  ["apps/order/service.test.ts", "postgres", /kernel's harness/],
  ["apps/payment/providers/fake.ts", "../db/payments", /port's folder/],
  ["apps/payment/providers/fake.ts", "postgres", /port's folder/],
  ["apps/auth/password/bun.ts", "../application/login", /port's folder/],
  ["apps/order/helpers.ts", "hono", /no layer has this place/],
  ["apps/gateway/forward.ts", "@mall/cart/service", /never a service's code/],
  ["apps/gateway/forward.ts", "drizzle-orm", /never a service's code or a database/],
  ["apps/_kernel/app.ts", "@mall/order/service", /knows none/],
  ["apps/_kernel/app.ts", "../order/service", /knows none/],
  ["apps/_kernel/app.ts", "@mall/gen/mall/order/v1/order_pb", /knows none/],
  ["apps/_kernel/app.test.ts", "@mall/order/service", /without any service/],
  ["apps/example/shop.ts", "@mall/kernel/fault", /at the customer's/],
  ["apps/client/session.test.ts", "@mall/kernel/fault", /at the customer's/],
  ["apps/client/session.ts", "@mall/kernel/fault", /runs in browsers/],
  ["apps/client/session.ts", "node:crypto", /runs in browsers/],
  ["apps/cart/transport/rpc.ts", "@mall/gen/client/reasons", /transport\/ translates/],
  ["apps/mall/cli.ts", "postgres", /driver is the kernel's/],
  ["db/order.ts", "./cart", /one service/],
  ["infra/edge.ts", "../apps/mall/mall", /by their name/],
];

describe("an import is refused with a lesson", () => {
  for (const [file, spec, lesson] of refused) {
    test(`${file} imports ${spec}`, () => {
      const [violation, ...others] = violationsOf(file, importing(spec).replace("import {", "import type {"));
      expect(violation).toMatch(lesson);
      expect(others).toEqual([]);
    });
  }
});

const allowed: [string, string][] = [
  ["apps/order/domain/order.ts", "@mall/kernel/money"],
  ["apps/order/db/orders.ts", "@mall/db/order"],
  ["apps/order/application/get-order.ts", "@mall/gen/mall/order/v1/events_pb"],
  ["apps/cart/application/add-item.ts", "@mall/gen/mall/product/v1/product_pb"],
  ["apps/payment/application/settle.ts", "../providers/port"],
  ["apps/user/transport/events.ts", "@mall/gen/mall/auth/v1/events_pb"],
  ["apps/payment/providers/fake.ts", "drizzle-orm"],
  ["apps/order/service.ts", "@mall/db/migrations/order/meta/_journal.json"],
  ["apps/mall/mall.ts", "@mall/order/service"],
  ["apps/mall/e2e/buy.test.ts", "@mall/example/serve"],
  ["infra/edge.ts", "@mall/mall/mall"],
];

test("what the layers allow is not refused", () => {
  expect(allowed.flatMap(([file, spec]) => violationsOf(file, importing(spec)))).toEqual([]);
});

describe("a rule about the call table", () => {
  test("refuses a client of a service that may not be called", () => {
    const source = (
      name: string,
    ) => `import { ${name}Service } from "@mall/gen/mall/${name.toLowerCase()}/v1/x_pb";
      const deps = { rpc: kernel.client(${name}Service) };`;
    expect(violationsOf("apps/cart/service.ts", source("Product"))).toEqual([]);
    expect(violationsOf("apps/product/service.ts", source("Cart")).join()).toContain(
      "product may not call cart",
    );
    expect(violationsOf("apps/cart/service.ts", source("Cart")).join()).toContain("cart may not call cart");
  });

  test("finds a circle", () => {
    expect(circleIn({ a: ["b"], b: ["c"], c: [] })).toBeUndefined();
    expect(circleIn({ x: ["a"], a: ["b"], b: ["c"], c: ["a"] })).toEqual(["a", "b", "c", "a"]);
  });

  test("knows an event by its full name", () => {
    const source =
      'import { UserRegisteredSchema } from "@mall/gen/mall/auth/v1/events_pb";\nconsumer(\n  UserRegisteredSchema, f)';
    expect(consumedEvents(source)).toEqual(["mall.auth.v1.UserRegistered"]);
  });
});

test("a domain that waits is refused, one that writes about it is not", () => {
  expect(violationsOf("apps/order/domain/x.ts", "export const f = async () => 1;").join()).toContain(
    "synchronous",
  );
  expect(
    violationsOf("apps/order/domain/x.ts", "// await nothing\n/** No Promise here. */\nexport const f = 1;"),
  ).toEqual([]);
});

test("deps.ts with a value is refused", () => {
  expect(violationsOf("apps/order/deps.ts", importing("./domain/order")).join()).toContain("types only");
});

test("SQL on another service's tables is refused", () => {
  const sql = (table: string) => `const q = \`select 1 from ${table} where id = 1\`;`;
  expect(violationsOf("apps/cart/db/carts.ts", sql("cart.carts"))).toEqual([]);
  expect(violationsOf("apps/cart/db/carts.ts", sql('"order".orders')).join()).toContain(
    "its own schema only",
  );
});

test("an undeclared import is refused, also when it is hoisted", () => {
  const check = (file: string, spec: string) => undeclaredImports(file, importing(spec), manifests).join();
  expect(check("apps/gateway/service.ts", "hono/cors")).toBe("");
  expect(check("apps/order/service.ts", "node:crypto")).toBe("");
  expect(check("apps/order/service.ts", "jose")).toContain("apps/order/package.json does not declare");
  expect(check("apps/order/service.ts", "@mall/cart/service")).toContain("does not declare");
  expect(check("apps/mall/e2e/browser.test.ts", "playwright-core")).toBe("");
  expect(check("apps/mall/dev.ts", "playwright-core")).toContain("does not declare");
  expect(check("infra/edge.ts", "left-pad")).toContain("devDependencies");
});

test("a way from a Worker to Bun is found, through types it is none", () => {
  const world = new Map([
    ["apps/order/worker.ts", importing("./service")],
    ["apps/order/service.ts", `${importing("@mall/kernel/app")}\nimport type { T } from "node:fs";`],
    ["apps/_kernel/app.ts", importing("./host/bun")],
    ["apps/_kernel/host/bun.ts", importing("node:http2")],
  ]);
  expect(bunOnlyReaches("apps/order/worker.ts", world)).toEqual([
    'apps/order/worker.ts → apps/order/service.ts → apps/_kernel/app.ts → apps/_kernel/host/bun.ts imports "node:http2", which no Worker has.',
  ]);
});
