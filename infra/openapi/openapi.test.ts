import { describe, expect, test } from "bun:test";
import { create, type DescMessage, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { FieldRulesSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { z } from "@hono/zod-openapi";
import { contract as runtimeContract } from "@mall/gateway/contract";
import { fault, invalid } from "@mall/kernel/fault";
import { problemResponse } from "@mall/kernel/problem";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";
import { jsonOptions } from "@mall/kernel/rpc/server";
import { violationsOf } from "@mall/kernel/rpc/validate";
import { serviceOfPackage } from "@mall/kernel/topology";
import { readContract, restMethods, summaryOf } from "./contract";
import { documentsOf } from "./document";
import { ownReasons, type Reason, reasons } from "./errors";
import { bodyExamples } from "./examples";
import { openapiFiles } from "./generate";
import { problem } from "./problem";
import { withRules } from "./rules";
import { componentNames, createSchemas } from "./schema";

interface Operation {
  operationId: string;
  summary?: string;
  description?: string;
  security: Record<string, string[]>[];
  parameters?: { name: string; in: string; required: boolean }[];
  requestBody?: { required: boolean };
  responses: Record<string, { description: string; content?: object; headers?: object }>;
}

interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, { required?: string[]; properties?: object; additionalProperties?: boolean }>;
  };
}

const root = new URL("../..", import.meta.url).pathname;
const contract = await readContract();
const documents = documentsOf(contract) as Map<string, Document>;
const mall = documents.get("mall")!;
const methods = restMethods(contract);
const method = (name: string) => methods.find((m) => m.name === name)!;

const operationsOf = (document: Document) =>
  Object.entries(document.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, operation]) => ({ ...operation, path, verb })),
  );
const operation = (id: string) => operationsOf(mall).find((o) => o.operationId === id)!;
const parametersOf = (id: string) =>
  Object.fromEntries(
    (operation(id).parameters ?? []).map((p) => [p.name, `${p.in}${p.required ? ", required" : ""}`]),
  );

const camel = (name: string) => name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

describe("the documents", () => {
  test("have every REST route of the contract, for its service and for the mall, and no other", () => {
    const inMall: string[] = [];
    for (const [name, document] of documents) {
      if (name === "mall") continue;
      const own = runtimeContract.filter((service) => serviceOfPackage(service.typeName) === name);
      const routes = own
        .flatMap((service) => service.methods)
        .flatMap((m) => {
          const rule = httpRuleOf(m);
          if (!rule) return [];
          const path = rule.pattern.replaceAll(/:(\w+)/g, (_, field: string) => `{${camel(field)}}`);
          return [`${m.name} ${rule.verb} ${path}`];
        });
      if (name === "auth") routes.push("GetPublicKeys get /.well-known/jwks.json");
      const documented = operationsOf(document).map((o) => `${o.operationId} ${o.verb} ${o.path}`);
      expect(documented.sort()).toEqual(routes.sort());
      inMall.push(...routes);
    }
    inMall.push("Batch post /v1/batch");
    expect(
      operationsOf(mall)
        .map((o) => `${o.operationId} ${o.verb} ${o.path}`)
        .sort(),
    ).toEqual(inMall.sort());
  });

  test("say nothing of methods for services only", () => {
    const text = JSON.stringify([...documents.values()]);
    const internal = runtimeContract.flatMap((s) => s.methods).filter((m) => !httpRuleOf(m));
    expect(internal.length).toBeGreaterThan(10);
    for (const { name } of internal) expect([name, text.includes(`"${name}`)]).toEqual([name, false]);
  });

  test("tell of every operation what it does and how it is refused", () => {
    for (const o of operationsOf(mall)) {
      expect([o.operationId, o.summary !== "" && o.description!.startsWith(o.summary!)]).toEqual([
        o.operationId,
        true,
      ]);
      const refusals = Object.entries(o.responses).filter(([status]) => status >= "4");
      const statuses = refusals.map(([status]) => status);
      expect(statuses).toContain("default");
      // a batch asks nobody itself
      if (o.operationId !== "Batch") expect(statuses).toContain("503");
      if (o.operationId !== "GetPublicKeys") expect(statuses).toContain("400");
      const makesIt = ["SetRole", "SetRule"].includes(o.operationId);
      if (/\{/.test(o.path) && !makesIt)
        expect([o.operationId, statuses.includes("404")]).toEqual([o.operationId, true]);
      for (const [, answer] of refusals)
        expect(Object.keys(answer.content!)).toEqual(["application/problem+json"]);
    }
  });

  test("have a text for every field and parameter", () => {
    for (const [name, schema] of Object.entries(mall.components.schemas)) {
      for (const [field, value] of Object.entries(schema.properties ?? {})) {
        if (name !== "PublicKeys") expect([name, field, "description" in value]).toEqual([name, field, true]);
      }
    }
    for (const o of operationsOf(mall)) {
      for (const p of o.parameters ?? [])
        expect([o.operationId, p.name, "description" in p]).toEqual([o.operationId, p.name, true]);
    }
  });

  test("are in gen/openapi as they are generated; `bun run gen` writes them", async () => {
    const files = await openapiFiles();
    expect(files.size).toBe(8);
    for (const [path, text] of files)
      expect([path, (await Bun.file(path).text()) === text]).toEqual([path, true]);
  });

  test("pass redocly without errors and warnings", async () => {
    const files = [...(await openapiFiles()).keys()];
    const lint = Bun.spawn([`${root}/node_modules/.bin/redocly`, "lint", ...files], {
      cwd: root,
      env: {
        ...process.env,
        PATH: `${root}/node_modules/.bin:${process.env.PATH}`,
        REDOCLY_SUPPRESS_UPDATE_NOTICE: "true",
      },
      stdout: "pipe",
      stderr: "pipe",
    });
    const said = (await new Response(lint.stdout).text()) + (await new Response(lint.stderr).text());
    expect(said).toContain("are valid");
    expect(said).not.toMatch(/You have \d+/);
    expect(await lint.exited).toBe(0);
  });
});

describe("an operation", () => {
  test("asks for the credentials of its policy", () => {
    const security = (id: string) => operation(id).security.map((scheme) => Object.keys(scheme).join());
    expect(security("ListProducts")).toEqual([]);
    expect(security("CreateCart")).toEqual(["", "bearer"]);
    expect(security("UpdateMe")).toEqual(["bearer"]);
    expect(security("AdjustStock")).toEqual(["bearer"]);
    expect(security("AddItem")).toEqual(["bearer", "cartSecret"]);
    expect(security("ListPayments")).toEqual(["bearer", "orderSecret"]);
    expect(security("PayCheckout")).toEqual(["bearer", "cartSecret", "orderSecret"]);
  });

  test("has its path, query and headers as parameters, and the rest in the body", () => {
    expect(parametersOf("PlaceOrder")).toEqual({
      "Idempotency-Key": "header, required",
      "X-Cart-Secret": "header",
    });
    expect(parametersOf("RemoveItem")).toEqual({
      ...{ cartId: "path, required", variantId: "path, required" },
      ...{ "If-Match": "header", "X-Cart-Secret": "header" },
    });
    expect(parametersOf("ListOrders")).toEqual({ pageSize: "query", pageToken: "query" });
    expect(parametersOf("GetOrder")).toEqual({ orderId: "path, required", "X-Order-Secret": "header" });
    const body = mall.components.schemas.AddItemRequest!;
    expect(Object.keys(body.properties!)).toEqual(["variantId", "quantity", "expectedVersion"]);
    expect(body.additionalProperties).toBe(false);
    expect(operation("Logout").requestBody!.required).toBe(false);
    expect(operation("AddItem").requestBody!.required).toBe(true);
  });

  test("has the success status of its policy, and those that its transport chooses", () => {
    const successes = (id: string) => Object.keys(operation(id).responses).filter((status) => status < "3");
    expect(successes("Register")).toEqual(["201"]);
    expect(successes("Login")).toEqual(["200"]);
    expect(successes("CreateCart")).toEqual(["200", "201"]);
    expect(successes("PlaceOrder")).toEqual(["201", "202"]);
    expect(successes("PayCheckout")).toEqual(["200", "202"]);
  });

  test("sends an ETag when its answer can be one versioned resource alone", () => {
    const hasEtag = (id: string, status: number) => "ETag" in operation(id).responses[status]!.headers!;
    expect([hasEtag("CreateCart", 201), hasEtag("CreateCart", 200), hasEtag("GetMe", 200)]).toEqual([
      true,
      true,
      true,
    ]);
    expect(hasEtag("GetProduct", 200)).toBe(false);
    expect([hasEtag("PlaceOrder", 201), hasEtag("ListPayments", 200), hasEtag("Login", 200)]).toEqual([
      false,
      false,
      false,
    ]);
  });

  test("tells which role or permission it needs", () => {
    expect(operation("GetStock").description).toEndWith(
      "\n\nNeeds the role staff or admin, or the permission `stock.read`.",
    );
    expect(operation("SetRole").description).toEndWith("\n\nNeeds the role admin.");
    expect(operation("GetMe").description).not.toContain("Needs");
  });

  test("names the statuses that can happen to it and no others", () => {
    const atTheEdge = ["414", "429", "431", "504"];
    const statuses = (id: string) =>
      Object.keys(operation(id).responses)
        .filter((status) => status >= "3" && !atTheEdge.includes(status))
        .join(" ");
    for (const { operationId, responses } of operationsOf(mall))
      if (!["GetPublicKeys", "Batch"].includes(operationId))
        expect([operationId, Object.keys(responses)]).toEqual([
          operationId,
          expect.arrayContaining(atTheEdge),
        ]);
    expect(statuses("ListProducts")).toBe("304 400 403 503 default");
    expect(statuses("Register")).toBe("400 403 408 409 413 415 503 default");
    expect(statuses("RemoveItem")).toBe("400 401 403 404 409 412 503 default");
    expect(statuses("GetStock")).toBe("400 401 403 404 503 default");
    expect(statuses("PlaceOrder")).toBe("400 401 402 403 404 408 409 413 415 422 503 default");
  });
});

describe("a schema", () => {
  const schemas = createSchemas(methods);

  /** Whether the running service would take a body, by its decoder and its validator. */
  function isTaken(name: string, body: JsonObject): boolean {
    const { input } = method(name);
    try {
      return violationsOf(input, fromJson(input, { ...pathValues(name), ...body }, jsonOptions)).length === 0;
    } catch {
      return false;
    }
  }

  /** Valid values for the fields of the path. */
  function pathValues(name: string): JsonObject {
    const prefixes: Record<string, string> = { cartId: "cart", variantId: "var", checkoutId: "chk" };
    const names = httpRuleOf(method(name))!.pathFields.map((field) => field.jsonName);
    return Object.fromEntries(names.map((field) => [field, `${prefixes[field]}_${"0".repeat(26)}`]));
  }

  /** The body, and the body with one thing changed at a time. */
  function* variantsOf(body: JsonObject): Generator<JsonObject> {
    yield body;
    yield { ...body, unknown: 1 };
    for (const [name, value] of Object.entries(body)) {
      const { [name]: _left, ...others } = body;
      yield others;
      for (const other of ["", "x".repeat(300), 0, -1, 1000, true, [], {}]) yield { ...body, [name]: other };
      if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
      for (const inner of variantsOf(value as JsonObject)) yield { ...body, [name]: inner };
    }
  }

  /** Whether ProtoJSON reads a body that it would write otherwise, such as a number as text. */
  function isLenient(name: string, body: JsonObject): boolean {
    const { input } = method(name);
    return isTaken(name, body) && !Bun.deepEquals(toJson(input, fromJson(input, body, jsonOptions)), body);
  }

  test.each(Object.keys(bodyExamples))(
    "of %s takes its example and refuses what the service refuses",
    (name) => {
      const schema = schemas.body(method(name), httpRuleOf(method(name))!.pathFields);
      expect(isTaken(name, bodyExamples[name]!)).toBe(true);
      for (const body of variantsOf(bodyExamples[name]!)) {
        if (isLenient(name, body)) continue;
        expect([body, schema.safeParse(body).success]).toEqual([body, isTaken(name, body)]);
      }
    },
  );

  test("of an answer requires exactly the fields that are always written", () => {
    const found = new Set<DescMessage>();
    const collect = (desc: DescMessage): void => {
      if (found.has(desc) || desc.typeName.startsWith("google.")) return;
      found.add(desc);
      for (const field of desc.fields) if (field.message) collect(field.message);
    };
    for (const { output } of methods) collect(output);
    for (const desc of found) {
      const written = Object.keys(toJson(desc, create(desc), jsonOptions) as JsonObject);
      expect([desc.name, mall.components.schemas[desc.name]!.required ?? []]).toEqual([desc.name, written]);
    }
  });

  test("of problems is what problemResponse writes", async () => {
    const strict = problem.strict();
    const refusals = [
      invalid([{ pointer: "#/items/0", detail: "is wrong" }]),
      invalid([{ parameter: "pageSize", detail: "is wrong" }]),
      fault("failed_precondition", "OUT_OF_STOCK", "Not enough.", { metadata: { variantId: "var_x" } }),
    ];
    for (const refusal of refusals) {
      const body = await problemResponse(refusal, crypto.randomUUID()).json();
      expect(strict.safeParse(body).error).toBeUndefined();
      expect(Object.keys(strict.shape).sort()).toEqual(Object.keys(body as object).sort());
    }
  });

  test("is named by its message, and by its package too where names collide", () => {
    const names = componentNames([
      "mall.cart.v1.Cart",
      "mall.cart.v1.Item",
      "mall.order.v1.Item",
      "mall.order.v1.Order.Part",
    ]);
    expect([...names.values()]).toEqual(["Cart", "CartItem", "OrderItem", "OrderPart"]);
    expect(() =>
      componentNames(["mall.cart.v1.CartItem", "mall.cart.v1.Item", "mall.order.v1.Item"]),
    ).toThrow("CartItem");
  });

  test("is refused to a rule that the generator does not know", () => {
    const rules = create(FieldRulesSchema, {
      type: { case: "string", value: { wellKnown: { case: "uuid", value: true } } },
    });
    expect(() => withRules(z.string(), rules, "mall.x.v1.Y.z")).toThrow(
      "mall.x.v1.Y.z: the rule string.uuid",
    );
  });
});

test("a summary is the first sentence of a comment", () => {
  expect(summaryOf("Reads a cart.")).toBe("Reads a cart");
  expect(summaryOf("Costs 4.5 units, e.g. of v1.2 things. More.")).toBe(
    "Costs 4.5 units, e.g. of v1.2 things",
  );
});

describe("the reasons in the documents", () => {
  /** Refusals that no operation names: beside all operations, between services, to the event bus, of senseless catalogues. */
  const elsewhere = new Set([
    ...["INTERNAL", "ROUTE_NOT_FOUND", "METHOD_NOT_ALLOWED"],
    "LOCK_ENDED",
    "OVERTAKEN",
    ...["MAILER_UNAVAILABLE", "MAIL_REFUSED", "CACHE_UNAVAILABLE"],
    ...["HOLD_EXPIRED", "HOLD_NOT_FOUND"],
    ...["HOLD_ENDED", "HOLD_EXPIRED", "HOLD_NOT_FOUND"],
    ...["ORDER_EXISTS", "ORDER_TOTALS_WRONG", "ORDER_STATE_INVALID"],
    ...["PAYMENT_EXISTS", "PAYMENT_NOT_FOUND", "PAYMENT_STATE_INVALID"],
    ...["AMOUNT_OVERFLOW", "CURRENCY_MISMATCH"],
  ]);

  /** Codes of every reason in the code of the services. */
  async function thrown(): Promise<Map<string, Set<string>>> {
    const found = new Map<string, Set<string>>();
    const add = (reason: string, code: string) =>
      found.set(reason, (found.get(reason) ?? new Set()).add(code));
    for await (const path of new Bun.Glob("apps/*/**/*.ts").scan(root)) {
      if (/\.test\.ts$|\/testing\/|\/e2e\//.test(path)) continue;
      const text = await Bun.file(root + path).text();
      for (const [, code, reason] of text.matchAll(/fault\(\s*"(\w+)",\s*"([A-Z_]+)"/g)) add(reason!, code!);
      for (const [, thing] of text.matchAll(/notFound\("([A-Z_]+)"\)/g))
        add(`${thing}_NOT_FOUND`, "not_found");
    }
    return found;
  }

  test("are those of the code, with its codes; a new reason belongs in infra/openapi/errors.ts", async () => {
    const codes = await thrown();
    for (const [reason, [code]] of Object.entries(reasons)) {
      expect([reason, [...(codes.get(reason) ?? [])]]).toEqual([reason, [code]]);
    }
    const undocumented = [...codes.keys()].filter((reason) => !(reason in reasons) && !elsewhere.has(reason));
    expect(undocumented).toEqual([]);
  });

  test("all belong to operations that exist", () => {
    for (const name of Object.keys(ownReasons))
      expect([name, method(name) !== undefined]).toEqual([name, true]);
    const text = JSON.stringify(mall.paths);
    for (const reason of Object.keys(reasons) as Reason[])
      expect([reason, text.includes(`\`${reason}\``)]).toEqual([reason, true]);
  });
});
