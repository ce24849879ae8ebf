import { bunPasswords } from "@mall/auth/password/bun";
import { createAuthCommands } from "@mall/auth/service";
import { PaymentService } from "@mall/gen/mall/payment/v1/payment_pb";
import { InventoryService } from "@mall/gen/mall/product/v1/inventory_pb";
import { ProductService } from "@mall/gen/mall/product/v1/product_pb";
import { migrate } from "@mall/kernel/db/migrate";
import type { EnvSource } from "@mall/kernel/env";
import { asCommand } from "@mall/kernel/rpc/context";
import { serviceNames } from "@mall/kernel/topology";
import { createProductCommands } from "@mall/product/service";
import { adminCommand } from "./admin";
import { audit } from "./audit";
import { certsCommand } from "./certs";
import { configCommand } from "./config";
import { dataKeysCommand } from "./data-keys";
import { commandDatabase } from "./database";
import { listDeadLetters, redriveDeadLetters } from "./dead-letters";
import { keysCommand } from "./keys";
import { buildMall, type Mall } from "./mall";
import { policyCommand } from "./policy";
import { schedulesCommand } from "./schedules";
import { seedDemo } from "./seed";
import { serviceOf, UsageError } from "./usage";

const usage = `usage: mall <command>
  migrate                     bring the database up to date
  seed                        import the demo catalogue into an empty mall
  import <file.csv> [--set-stock]   import a Shopify product CSV
  admin create <email>        create an administrator, or make an account one
  admin show <user>           show roles and status of an account; a user is an e-mail address or an id
  admin grant <user> <role> | admin revoke <user> <role>
  admin ban <user> <reason> | admin unban <user> <reason>   a reason is a word such as fraud
  keys list | keys rotate     the keys that sign access tokens: show them, or make the next one
  stock set <sku> <n>         set the units on hand of a SKU
  reconcile stock             compare the stock with its ledger and its holds
  reconcile payments          compare the payments with the books of the provider
  config get [key] | config history          show the settings, and who changed them when
  config set <key> <value> | config reset <key> | config rollback <revision>
  policy show                 show the roles and rules of the operators
  policy permissions          list what roles can give, and the operations that need it
  policy role set <name> [permission …] | role delete <name>
  policy rule set <name> <deny|allow|open> <pattern> [role …] | rule delete <name>
  policy block <user> | unblock <user> | blocked
  policy history | policy rollback <revision>   who changed what when; roles and rules as they were then
  data-keys seal              seal personal data that an older version stored in the clear
  data-keys rotate            wrap all data keys by the newest key of MALL_MASTER_KEY
  data-keys erase <id>        destroy what is personal about a user or an order of a guest, for good
  certs init [--trust-domain d]   make an authority and a certificate for each service, for mutual TLS
  certs issue <service …> | list
  certs rotate [leaves|ca-begin|ca-end]   new certificates, or a new authority in three steps: ca-begin, leaves, ca-end
             [--hours n] for issued certificates, [--dir d] instead of the folder certs of MALL_DATA_DIR
  dlq list [service]          show events that nobody could handle
  dlq redrive <service> <id|--all>  hand them to their consumers again
  schedules set [cron] | schedules show | schedules remove   QStash's schedule that wakes a mall which sleeps
  audit list [--service s] [--actor id|kind] [--subject id] [--action a] [--outcome ok|refused]
             [--since t] [--until t] [--limit n]   show security events; t is a time or 90m
  audit head [--service s]    print the signed ends of the audit logs, to be kept elsewhere
  audit verify [--service s] [--head <file>]   find what was changed, deleted, moved or cut off`;

async function importFile(mall: Mall, args: string[]): Promise<number> {
  const [file] = args.filter((arg) => !arg.startsWith("--"));
  if (!file) throw new UsageError("import needs a file");
  const csv = await Bun.file(file).text();
  const report = await mall
    .client(ProductService)
    .importProducts({ csv, setStock: args.includes("--set-stock") });
  console.log(
    `${report.rows} rows: ${report.created} products created, ${report.updated} updated, ${report.variants} variants, ${report.problems.length} problems`,
  );
  for (const { line, handle, reason, detail } of report.problems) {
    console.log(`  line ${line}${handle ? ` (${handle})` : ""}: ${reason}: ${detail}`);
  }
  return report.problems.length > 0 ? 1 : 0;
}

const authCommands = (mall: Mall) => createAuthCommands(mall.resourcesOf("auth"), bunPasswords());

async function setStock(mall: Mall, sku: string | undefined, quantity: string | undefined): Promise<number> {
  if (!sku || !/^[0-9]{1,7}$/.test(quantity ?? ""))
    throw new UsageError("stock set needs a SKU and a number of units");
  const stock = await createProductCommands(mall.resourcesOf("product")).setStock(sku, Number(quantity));
  console.log(`${sku}: ${stock.onHand} on hand, ${stock.reserved} reserved`);
  return 0;
}

async function deadLetters(mall: Mall, [verb, service, id]: string[]): Promise<number> {
  if (verb === "list") return listDeadLetters(mall, service ? serviceOf(service) : undefined, console.log);
  if (verb !== "redrive") throw new UsageError("dlq knows list and redrive");
  if (!service || !id) throw new UsageError("dlq redrive needs a service and an id or --all");
  return redriveDeadLetters(mall, serviceOf(service), id === "--all" ? "all" : { id }, console.log);
}

async function policy(mall: Mall, args: string[]): Promise<number> {
  const code = await policyCommand(mall, () => authCommands(mall), args, console.log);
  if (code === undefined) throw new UsageError(`unknown command: policy ${args.join(" ")}`);
  return code;
}

/** Five times as long as a process takes to look at its files again. */
const certificatesSettleMs = 5_000;

const certs = (args: string[], env: EnvSource): Promise<number> =>
  certsCommand(args, {
    print: console.log,
    dataDir: env.MALL_DATA_DIR ?? ".mall",
    settleMs: certificatesSettleMs,
    now: () => new Date(),
  });

/** A page of what was compared, with a line for each difference. */
interface Compared {
  checked: number;
  lines: string[];
  nextPageToken: string;
}

/** Compares page after page and prints what differs: 0 when nothing does. */
async function reconcile(what: string, pageAfter: (pageToken: string) => Promise<Compared>): Promise<number> {
  let [checked, found, pageToken] = [0, 0, ""];
  do {
    const page = await pageAfter(pageToken);
    for (const line of page.lines) console.log(line);
    checked += page.checked;
    found += page.lines.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  console.log(`${checked} ${what}, ${found} differences`);
  return found > 0 ? 1 : 0;
}

const reconcileStock = (mall: Mall): Promise<number> =>
  reconcile("variants checked", async (pageToken) => {
    const { differences, ...page } = await mall.client(InventoryService).reconcileStock({ pageToken });
    const lines = differences.map(({ variantId, field, recorded, recomputed }) => {
      const books = field === "reserved" ? "active holds say" : "ledger says";
      return `${variantId}: ${field} ${recorded}, the ${books} ${recomputed}`;
    });
    return { ...page, lines };
  });

const reconcilePayments = (mall: Mall): Promise<number> =>
  reconcile("payments compared", async (pageToken) => {
    const { differences, ...page } = await mall.client(PaymentService).reconcilePayments({ pageToken });
    const lines = differences.map(
      ({ paymentId, field, ours, theirs }) =>
        `${paymentId}: ${field} ${ours?.minor} ${ours?.currency}, the provider says ${theirs?.minor}`,
    );
    return { ...page, lines };
  });

async function seed(mall: Mall): Promise<number> {
  console.log(`${await seedDemo(mall)} products imported`);
  return 0;
}

function run(mall: Mall, [command, verb, ...rest]: string[]): Promise<number> {
  if (command === "seed") return seed(mall);
  if (command === "import") return importFile(mall, [verb ?? "", ...rest].filter(Boolean));
  if (command === "keys") return keysCommand(authCommands(mall), verb, console.log);
  if (command === "admin") return adminCommand(mall, authCommands(mall), [verb ?? "", ...rest], console.log);
  if (command === "stock" && verb === "set") return setStock(mall, rest[0], rest[1]);
  if (command === "policy") return policy(mall, [verb ?? "", ...rest]);
  if (command === "config") return configCommand(mall, [verb ?? "", ...rest], console.log);
  if (command === "audit") return audit(mall, [verb ?? "", ...rest], console.log);
  if (command === "data-keys") return dataKeysCommand(mall, [verb ?? "", ...rest], console.log);
  if (command === "dlq") return deadLetters(mall, [verb ?? "", ...rest]);
  if (command === "reconcile" && verb === "stock") return reconcileStock(mall);
  if (command === "reconcile" && verb === "payments") return reconcilePayments(mall);
  throw new UsageError(`unknown command: ${[command, verb].filter(Boolean).join(" ")}`);
}

async function main(args: string[]): Promise<number> {
  if (args.length === 0) throw new UsageError("a command is needed");
  const env: EnvSource = { LOG_LEVEL: "warn", ...process.env };
  if (args[0] === "certs") return certs(args.slice(1), env);
  if (args[0] === "schedules") return schedulesCommand(args.slice(1), env, console.log);
  const database = await commandDatabase(env);
  try {
    const owner = env.MIGRATE_DATABASE_URL ?? database.url;
    if (args[0] === "migrate" || (env.MALL_ENV ?? "dev") !== "production") await migrate(owner, serviceNames);
    if (args[0] === "migrate") return 0;
    const mall = buildMall({ PAYMENT_ALLOW_FAKE: "1", MAILER: "none", ...env, DATABASE_URL: database.url });
    try {
      await Promise.all(mall.apps.map((app) => app.start()));
      return await asCommand(() => run(mall, args));
    } finally {
      await mall.close();
    }
  } finally {
    await database.stop();
  }
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof UsageError) console.error(usage);
  process.exit(error instanceof UsageError ? 2 : 1);
}
