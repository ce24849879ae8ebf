import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { posix } from "node:path";
import { clone, create, type DescMethod, type MessageInitShape, setExtension } from "@bufbuild/protobuf";
import { MethodOptionsSchema } from "@bufbuild/protobuf/wkt";
import { contract } from "@mall/gateway/contract";
import {
  Access,
  Idempotency,
  MethodPolicySchema,
  policy as policyOption,
} from "@mall/gen/mall/common/v1/options_pb";
import { httpRuleOf } from "@mall/kernel/rpc/http-rule";
import { policyOf } from "@mall/kernel/rpc/policy";
import { type CallerName, calls, mayCall, serviceOfPackage } from "@mall/kernel/topology";
import { repositoryFiles, root, textOf } from "./repository";

const files = repositoryFiles();
const isText = (file: string): boolean =>
  /\.(?:ts|json|jsonc|md|proto|sql|sh|py|html|csv|ya?ml|toml|lock|conf)$|^[^.]*$|^\.ci\//.test(file);
const texts = new Map(files.filter(isText).map((file) => [file, textOf(file)]));
const isGenerated = (file: string): boolean =>
  /^gen\/(?:es|openapi)\/|^db\/migrations\/|^proto\/third_party\//.test(file);

/** Files of ours whose text says what it must not. */
const saying = (form: RegExp): string[] =>
  [...texts].filter(([file, text]) => !isGenerated(file) && form.test(text)).map(([file]) => file);

describe("the repository", () => {
  test("has the fixed top level and nothing beside it", () => {
    const folders = new Set(files.filter((file) => file.includes("/")).map((file) => file.split("/")[0]));
    const expected = ["apps", "db", "gen", "infra", "proto", "wrangler", ".ci", ".github"];
    expect([...folders].sort()).toEqual(expected.sort());
  });

  test("names files in kebab-case, by what they are about", () => {
    const ours = files.filter(
      (file) => /^(?:apps|db|infra|proto|wrangler)\//.test(file) && !isGenerated(file),
    );
    const isConventional = (name: string) =>
      /^(?:README\.md|Dockerfile(?:\.[a-z-]+)?|[a-z][a-z0-9_]*\.py)$/.test(name);
    const isKebab = (name: string) => /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)+$/.test(name);
    const names = ours.map((file) => [file, posix.basename(file)] as const);
    expect(names.filter(([, name]) => !isConventional(name) && !isKebab(name)).map(([file]) => file)).toEqual(
      [],
    );
    const vague = /(?:^|\/)(?:utils?|helpers?|misc|lib|src|packages)(?:\/|\.ts$)|\/index\.ts$/;
    expect(ours.filter((file) => vague.test(file))).toEqual([]);
  });

  test("has no mark of unfinished work", () => {
    expect(saying(new RegExp(`\\b(?:${["TO", "FIX"].join("DO|")}ME)\\b`))).toEqual([]);
  });

  test("names no package registry and no host in its lockfile", () => {
    expect(saying(new RegExp(["registry", "npmjs", "org"].join("\\.")))).toEqual([]);
    expect(texts.has("bun.lock")).toBe(true);
    expect(texts.get("bun.lock")).not.toContain("://");
  });

  test("has migrations that a database which has the first ones still takes", () => {
    const journals = files.filter((file) => /^db\/migrations\/\w+\/meta\/_journal\.json$/.test(file));
    expect(journals.length).toBeGreaterThan(5);
    for (const file of journals) {
      // the migrator skips what is older than the last one it applied
      const { entries } = JSON.parse(textOf(file)) as { entries: { when: number; tag: string }[] };
      expect(entries).toEqual(entries.toSorted((a, b) => a.when - b.when));
    }
  });

  test("keeps no state in a module that a Worker may run, but what may vanish with its isolate", () => {
    const mayVanish = {
      "apps/_kernel/audit/refusal.ts": "the entry of an error, for as long as that lives",
      "apps/_kernel/db/client.ts": "the query builder of a connection, for as long as that lives",
      "apps/_kernel/rpc/http-rule.ts": "read from the contract once",
      "apps/_kernel/rpc/policy.ts": "read from the contract once",
      "apps/gateway/worker.ts": "the gateway of an isolate: limits, caches and breakers begin anew with it",
      "apps/product/db/catalogue.ts": "texts of statements, made once",
    };
    const runs = /^apps\/(?!client|example|mall)[^/]+\/(?!testing)/;
    const onlyInTests = /\.test\.ts$|\/testing\.ts$|\/contract\.ts$/;
    const state =
      /^(?:export )?(?:let |(?:const|var) (?!.*readonly)[^\n]*= (?:new (?:Weak)?(?:Map|Set)(?:<.*>)?\(\)|\[\]|\{\});)/m;
    const found = saying(state).filter(
      (file) => runs.test(file) && file.endsWith(".ts") && !onlyInTests.test(file),
    );
    expect(found.sort()).toEqual(Object.keys(mayVanish).sort());
  });

  test("holds no private key", () => {
    expect(saying(new RegExp(`BEGIN (?:[A-Z]+ )*${"PRIVATE"} KEY`))).toEqual([]);
  });
});

/** Places that a document names: links to files and `paths/in/code` that begin or end like a path of ours. */
function citedPaths(text: string): string[] {
  const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) => match[1]!);
  const quoted = [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);
  const looksLikeFile = (word: string) => /^[\w.@*<>{},-]+(?:\/[\w.@*<>{},-]*)+$/.test(word);
  const isOurs = (word: string) =>
    /^(?:apps|db|gen|infra|proto|wrangler|\.ci|\.github)\//.test(word) ||
    /^(?:domain|application|transport|providers|e2e)\/./.test(word) ||
    /\.(?:ts|md|proto|jsonc?|sh|sql|csv|py|ya?ml)$/.test(word);
  return [
    ...links.filter((link) => !/^[a-z]+:/.test(link)),
    ...quoted.filter((word) => looksLikeFile(word) && isOurs(word)),
  ];
}

/** Whether a path exists beside the document or from the root; <svc> and * stand for any name. */
function exists(document: string, path: string): boolean {
  const glob = path.replace(/<[^>]*>/g, "*").replace(/\/$/, "");
  return [posix.dirname(document), "."].some((folder) => {
    const place = posix.join(folder, glob);
    if (!/[*{]/.test(place)) return existsSync(posix.join(root, place));
    const form = new Bun.Glob(place);
    return files.some((file) => form.match(file) || new Bun.Glob(`${place}/**`).match(file));
  });
}

describe("a document", () => {
  const documents = [...texts.keys()].filter((file) => file.endsWith(".md"));

  test("cites only paths that exist", () => {
    const rotten = documents.flatMap((document) =>
      citedPaths(texts.get(document)!)
        .filter((path) => !exists(document, path))
        .map((path) => `${document} cites ${path}`),
    );
    expect(rotten).toEqual([]);
  });

  test("of a service stands beside it", () => {
    const services = new Set(contract.map(({ typeName }) => serviceOfPackage(typeName)));
    for (const service of [...services, "gateway"]) expect(documents).toContain(`apps/${service}/README.md`);
  });

  test("with a rotten path is noticed", () => {
    const text =
      "See `infra/gone.ts`, [this](infra/gone.md#top), `domain/gone.ts`, `/v1/orders`, `application/*.ts` and `a/b`.";
    const cited = ["infra/gone.md", "infra/gone.ts", "domain/gone.ts", "application/*.ts"];
    expect(citedPaths(text)).toEqual(cited);
    expect(cited.filter((path) => exists("apps/order/README.md", path))).toEqual(["application/*.ts"]);
  });
});

const methods: DescMethod[] = contract.flatMap((service) => service.methods);
const kebab = (name: string): string => name.replace(/(?!^)[A-Z]/g, "-$&").toLowerCase();
const camel = (name: string): string => name[0]!.toLowerCase() + name.slice(1);

/** What is wrong with the options of an RPC, as sentences. */
function policyFaults(method: DescMethod): string[] {
  const policy = policyOf(method);
  if (!policy) return [`${method.name} has no policy: it is refused for everyone`];
  const callee = serviceOfPackage(method.parent.typeName)!;
  const verb = httpRuleOf(method)?.verb;
  const repeatable = [Idempotency.SAFE, Idempotency.IDEMPOTENT].includes(policy.idempotency);
  const strangers = policy.callers.filter(
    (caller) => !(caller in calls && mayCall(caller as CallerName, callee)),
  );
  const faults: [boolean, string][] = [
    [policy.access === Access.UNSPECIFIED, "does not say who may call it"],
    [policy.idempotency === Idempotency.UNSPECIFIED, "does not say what a repetition does"],
    [verb === "get" && !repeatable, "is a GET that is not safe to repeat"],
    [
      (policy.access === Access.ROLES) !== policy.roles.length > 0,
      "must name roles exactly when it asks for roles",
    ],
    [
      policy.permission !== "" &&
        (policy.access !== Access.ROLES || !/^[a-z][a-z-]+\.[a-z][a-z-]+$/.test(policy.permission)),
      "names a permission that is none or that nobody asks for",
    ],
    [policy.access === Access.SERVICE && policy.callers.length === 0, "is for services but names none"],
    [policy.access === Access.SERVICE && verb !== undefined, "is for services and has a public route"],
    [strangers.length > 0, `lets in ${strangers}, which the call table does not let call ${callee}`],
  ];
  return faults.filter(([is]) => is).map(([, sentence]) => `${method.name} ${sentence}`);
}

describe("an RPC", () => {
  test("of every proto service is in the contract", () => {
    const written = [...texts]
      .filter(([file]) => file.startsWith("proto/mall/"))
      .flatMap(([, text]) => {
        const [, name] = /^package ([\w.]+);/m.exec(text) ?? [];
        return [...text.matchAll(/^service (\w+) \{/gm)].map((match) => `${name}.${match[1]}`);
      });
    expect(contract.map(({ typeName }) => typeName).sort()).toEqual(written.sort());
  });

  test("states its policy, and one that makes sense", () => {
    expect(methods.length).toBeGreaterThan(30);
    expect(methods.flatMap(policyFaults)).toEqual([]);
  });

  test("has one name: that of its verb file and what the file exports", () => {
    const missing = methods.flatMap((method) => {
      const service = serviceOfPackage(method.parent.typeName);
      const file = `apps/${service}/application/${kebab(method.name)}.ts`;
      const form = new RegExp(`^export (?:const|(?:async )?function) ${camel(method.name)}\\b`, "m");
      if (form.test(texts.get(file) ?? "")) return [];
      return [`${method.name} is not export ${camel(method.name)} of ${file}`];
    });
    expect(missing).toEqual([]);
  });

  test("without a policy or with a contradicting one is noticed", () => {
    const bare = (method: DescMethod) =>
      ({ ...method, proto: { ...method.proto, options: undefined } }) as DescMethod;
    const judged = (name: string, policy: MessageInitShape<typeof MethodPolicySchema>) => {
      const method = methods.find((m) => m.name === name)!;
      const options = clone(MethodOptionsSchema, method.proto.options!);
      setExtension(options, policyOption, create(MethodPolicySchema, policy));
      return policyFaults({ ...method, proto: { ...method.proto, options } } as DescMethod);
    };
    const safe = { access: Access.USER, idempotency: Idempotency.SAFE };
    expect(policyFaults(bare(methods[0]!)).join()).toContain("has no policy");
    expect(judged("GetOrder", safe)).toEqual([]);
    expect(judged("GetOrder", { ...safe, idempotency: Idempotency.KEY_REQUIRED }).join()).toContain(
      "not safe to repeat",
    );
    expect(judged("GetOrder", { ...safe, access: Access.UNSPECIFIED }).join()).toContain("who may call");
    expect(judged("GetOrder", { ...safe, access: Access.ROLES }).join()).toContain("roles");
    expect(judged("GetOrder", { ...safe, permission: "order.read" }).join()).toContain("permission");
    const admins = { ...safe, access: Access.ROLES, roles: ["admin"] };
    expect(judged("GetOrder", { ...admins, permission: "order.read" })).toEqual([]);
    expect(judged("GetOrder", { ...admins, permission: "everything" }).join()).toContain("permission");
    expect(judged("GetOrder", { ...safe, access: Access.SERVICE, callers: ["checkout"] }).join()).toContain(
      "public route",
    );
    expect(judged("GetOrder", { ...safe, callers: ["cart"] }).join()).toContain("lets in cart");
  });
});
