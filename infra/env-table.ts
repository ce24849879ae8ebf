import { authEnv } from "@mall/auth/env";
import { cartEnv } from "@mall/cart/env";
import { checkoutEnv } from "@mall/checkout/env";
import { gatewayEnv } from "@mall/gateway/env";
import { baseEnv } from "@mall/kernel/env";
import { metaOf } from "@mall/kernel/env-fields";
import { orderEnv } from "@mall/order/env";
import { paymentEnv } from "@mall/payment/env";
import { productEnv } from "@mall/product/env";
import { userEnv } from "@mall/user/env";
import type * as z from "zod/mini";

/** Variables that the hosts read before any service is built. */
const hostRows: [string, string, string, string][] = [
  ["SERVICE", "start", "all in one", "Which service this process is; one of the services or gateway."],
  ["PORT", "start, dev, edge", "the service's own, 8080", "Port of HTTP/1.1: REST, Connect, gRPC-Web."],
  [
    "GRPC_PORT",
    "start, dev",
    "PORT + 1000",
    "Port of HTTP/2: gRPC; of a service with TLS_*, everything by mutual TLS.",
  ],
  ["DATABASE_URL", "all", "embedded in dev", "PostgreSQL; each connection drops to its service's role."],
  ["<SVC>_DATABASE_URL", "all", "DATABASE_URL", "Another database or login for one service."],
  ["MIGRATE_DATABASE_URL", "mall -- migrate", "DATABASE_URL", "Owner that migrations run as."],
  ["<SVC>_URL", "start", "http://127.0.0.1:<port>", "Comma list of addresses of a service."],
  ["MALL_DATA_DIR", "dev, mall", ".mall", "Folder of the embedded PostgreSQL."],
];

/** The environment schema of every service; "" is what all understand. */
export const schemas = {
  "": baseEnv,
  auth: authEnv,
  user: userEnv,
  cart: cartEnv,
  product: productEnv,
  order: orderEnv,
  payment: paymentEnv,
  checkout: checkoutEnv,
  gateway: gatewayEnv,
};

function defaultOf(schema: z.ZodMiniType): string {
  const value = schema.safeParse(undefined);
  if (!value.success) return "required";
  return String(value.data ?? "");
}

/** The table of all environment variables in the README, derived from the schemas. */
export function envTable(): string {
  const rows = [...hostRows];
  for (const [service, schema] of Object.entries(schemas)) {
    for (const [name, field] of Object.entries(schema.shape)) {
      if (service !== "" && name in baseEnv.shape) continue;
      const known = rows.find((row) => row[0] === name);
      if (known) {
        known[1] += `, ${service}`;
        continue;
      }
      const shown = name === "MALL_MASTER_KEY" ? "a development key" : defaultOf(field as z.ZodMiniType);
      rows.push([name, service || "all", shown, metaOf(field).description ?? ""]);
    }
  }
  const lines = rows.map(
    ([name, used, fallback, text]) => `| \`${name}\` | ${used} | ${fallback} | ${text} |`,
  );
  return ["| Variable | Read by | Default | Meaning |", "|---|---|---|---|", ...lines].join("\n");
}

const [from, to] = ["<!-- env table: made by `bun run gen` -->", "<!-- end of env table -->"];

/** Puts the table between its marks. */
export function withEnvTable(readme: string): string {
  const [before, rest] = readme.split(from);
  const after = rest?.split(to)[1];
  if (before === undefined || after === undefined)
    throw new Error("README.md has lost the marks of the env table");
  return `${before}${from}\n${envTable()}\n${to}${after}`;
}
