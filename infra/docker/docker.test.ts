import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { baseEnv } from "@mall/kernel/env";
import { serviceNames } from "@mall/kernel/topology";
import { validate } from "dockerfile-utils";
import { root } from "../repository";
import { stagesOf } from "./stages";

/*
 * Docker is not needed for these. What the image contains is tried by try.ts, and compose.yaml is held against the schema of
 * the Compose project in .ci/run.
 */

interface Compose {
  services: Record<string, { environment?: Record<string, string>; build?: unknown; image?: string }>;
}

const read = (path: string) => readFile(join(root, path), "utf8");
const compose = async () => Bun.YAML.parse(await read("infra/docker/compose.yaml")) as Compose;
const variablesOf = (text: string) => new Set(Array.from(text.matchAll(/\$\{(\w+)/g), ([, name]) => name!));

test("the Dockerfile has no fault that Docker's language tools know", async () => {
  const faults = validate(await read("infra/docker/Dockerfile"));
  expect(faults.map(({ message, range }) => `${range.start.line + 1}: ${message}`)).toEqual([]);
  expect(validate("FROM scratch\nCPOY a b")).toHaveLength(1);
});

test("the image has the version of Bun that the repository is tested with, and runs as nobody special", async () => {
  const text = await read("infra/docker/Dockerfile");
  const { devDependencies } = JSON.parse(await read("package.json")) as { devDependencies: { bun: string } };
  expect(text).toContain(`ARG BUN_VERSION=${devDependencies.bun}\n`);
  const users = stagesOf(text)
    .at(-1)!
    .filter(({ keyword }) => keyword === "USER");
  expect(users).toEqual([{ keyword: "USER", rest: "bun" }]);
});

test("compose starts every service as itself, and each knows where the others are", async () => {
  const { services } = await compose();
  for (const name of [...serviceNames, "gateway"]) {
    expect(services[name]?.environment?.SERVICE).toBe(name);
    for (const other of serviceNames)
      expect(services[name]?.environment?.[`${other.toUpperCase()}_URL`]).toBe(`http://${other}:8080`);
  }
});

test("compose gives nginx every variable of its template", async () => {
  const { services } = await compose();
  const given = Object.keys(services.nginx?.environment ?? {});
  expect(new Set(given)).toEqual(variablesOf(await read("infra/nginx/mall.conf.template")));
});

test("no secret has a value in compose or its example", async () => {
  const example = await read("infra/docker/env.example");
  for (const secret of ["MALL_MASTER_KEY", "POSTGRES_PASSWORD"]) expect(example).toContain(`${secret}=\n`);
  const text = await read("infra/docker/compose.yaml");
  for (const name of ["MALL_MASTER_KEY", "POSTGRES_PASSWORD"]) expect(text).toContain(`\${${name}:?`);
  const known = Object.keys(baseEnv.shape);
  for (const name of known.filter((each) => /TOKEN|KEY|SECRET/.test(each)))
    for (const [, value] of text.matchAll(new RegExp(`${name}: (.*)$`, "gm"))) expect(value).toMatch(/^\$\{/);
});
