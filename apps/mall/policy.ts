import type { AuthCommands } from "@mall/auth/service";
import { contract } from "@mall/gateway/contract";
import { PolicyService, RuleEffect } from "@mall/gen/mall/auth/v1/policy_pb";
import { matchesPattern } from "@mall/kernel/policy/pattern";
import { operationNames } from "@mall/kernel/policy/policy";
import { policyOf } from "@mall/kernel/rpc/policy";
import type { Mall } from "./mall";
import { UsageError } from "./usage";

type Commands = Pick<AuthCommands, "listPolicyHistory" | "rollbackPolicy">;
type Print = (line: string) => void;

const methods = contract.flatMap((service) => service.methods);

/** Every permission of the contract, with the operations that need it. */
export function permissions(): Map<string, string[]> {
  const needed = methods.flatMap((method) => {
    const permission = policyOf(method)?.permission;
    return permission ? [{ permission, name: method.name }] : [];
  });
  const sorted = needed.toSorted((a, b) => a.permission.localeCompare(b.permission));
  const grouped = Map.groupBy(sorted, ({ permission }) => permission);
  return new Map([...grouped].map(([permission, uses]) => [permission, uses.map(({ name }) => name)]));
}

/** Operations that a pattern matches. */
const matched = (pattern: string): string[] =>
  methods
    .filter((method) => operationNames(method).some((name) => matchesPattern(pattern, name)))
    .map((method) => method.name);

async function show(mall: Mall, print: Print): Promise<number> {
  const { policy } = await mall.client(PolicyService).describePolicy({});
  for (const { name, permissions, description } of policy!.roles)
    print(`role ${name}: ${permissions.join(" ")}${description && `  (${description})`}`);
  for (const { name, effect, pattern, roles } of policy!.rules)
    print(
      `rule ${name}: ${RuleEffect[effect].toLowerCase()} ${pattern} ${roles.join(" ") || "for everyone"}`,
    );
  print(`revision ${policy!.revision}`);
  return 0;
}

async function setRole(mall: Mall, name: string, given: string[], print: Print): Promise<number> {
  await mall.client(PolicyService).setRole({ name, permissions: given });
  print(`${name} gives ${given.join(" ") || "nothing"}`);
  return 0;
}

async function setRule(mall: Mall, args: string[], print: Print): Promise<number> {
  const [name, effect, pattern, ...roles] = args as [string, string, string, ...string[]];
  const operations = matched(pattern);
  if (operations.length === 0) {
    print(`${pattern} matches no operation`);
    return 1;
  }
  const known = RuleEffect[effect.toUpperCase() as keyof typeof RuleEffect];
  await mall.client(PolicyService).setRule({ name, effect: known, pattern, roles });
  print(`${name}: ${effect} ${roles.join(" ") || "for everyone"}: ${operations.join(" ")}`);
  return 0;
}

async function listBlocked(mall: Mall, print: Print): Promise<number> {
  let pageToken = "";
  do {
    const page = await mall.client(PolicyService).listBlockedUsers({ pageSize: 100, pageToken });
    for (const userId of page.userIds) print(userId);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return 0;
}

async function history(commands: Commands, print: Print): Promise<number> {
  for await (const { revision, at, author, action, subject } of commands.listPolicyHistory())
    print(`${revision}  ${at.toISOString()}  ${author}  ${action} ${subject}`);
  return 0;
}

async function rollback(commands: Commands, text: string, print: Print): Promise<number> {
  if (!/^[0-9]{1,15}$/.test(text)) throw new UsageError("policy rollback needs a revision");
  await commands.rollbackPolicy(BigInt(text));
  print(`roles and rules as of revision ${text}; who is blocked stays`);
  return 0;
}

function listPermissions(print: Print): number {
  for (const [permission, names] of permissions()) print(`${permission}: ${names.join(" ")}`);
  return 0;
}

/** Words of a command, and what it does with those that follow. */
interface Command {
  words: string;
  /** Fewest arguments. */
  least: number;
  run(mall: Mall, args: string[], print: Print): Promise<number>;
}

/** A command that asks the service for one change. */
const change = (
  words: string,
  ask: (mall: Mall, argument: string) => Promise<unknown>,
  done: string,
): Command => ({
  words,
  least: 1,
  async run(mall, [argument], print) {
    await ask(mall, argument!);
    print(`${argument} ${done}`);
    return 0;
  },
});

const policyOfMall = (mall: Mall) => mall.client(PolicyService);

const commands: readonly Command[] = [
  { words: "show", least: 0, run: (mall, _, print) => show(mall, print) },
  { words: "permissions", least: 0, run: async (_mall, _, print) => listPermissions(print) },
  { words: "blocked", least: 0, run: (mall, _, print) => listBlocked(mall, print) },
  { words: "role set", least: 1, run: (mall, [name, ...given], print) => setRole(mall, name!, given, print) },
  { words: "rule set", least: 3, run: setRule },
  change("role delete", (mall, name) => policyOfMall(mall).deleteRole({ name }), "deleted"),
  change("rule delete", (mall, name) => policyOfMall(mall).deleteRule({ name }), "deleted"),
  change("block", (mall, userId) => policyOfMall(mall).blockUser({ userId }), "blocked"),
  change("unblock", (mall, userId) => policyOfMall(mall).unblockUser({ userId }), "unblocked"),
];

/** Runs a command about the policy, its history by `commands` of auth. Returns the exit code; undefined when there is no such command. */
export async function policyCommand(
  mall: Mall,
  commandsOf: () => Commands,
  args: string[],
  print: Print,
): Promise<number | undefined> {
  if (args[0] === "history") return history(commandsOf(), print);
  if (args[0] === "rollback") return rollback(commandsOf(), args[1] ?? "", print);
  const text = `${args.join(" ")} `;
  const command = commands.find(({ words }) => text.startsWith(`${words} `));
  const rest = args.slice(command?.words.split(" ").length);
  return command && rest.length >= command.least ? command.run(mall, rest, print) : undefined;
}
