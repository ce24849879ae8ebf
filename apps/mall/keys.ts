import type { AuthCommands } from "@mall/auth/service";
import { UsageError } from "./usage";

type Print = (line: string) => void;

async function list(commands: AuthCommands, print: Print): Promise<number> {
  const now = new Date();
  for (const { kid, activatesAt, retiredAt, publishedUntil } of await commands.listSigningKeys()) {
    const state =
      activatesAt > now
        ? `signs from ${activatesAt.toISOString()}`
        : retiredAt && retiredAt <= now
          ? `retired, published until ${publishedUntil!.toISOString()}`
          : `signs since ${activatesAt.toISOString()}`;
    print(`${kid}  ${state}`);
  }
  return 0;
}

async function rotate(commands: AuthCommands, print: Print): Promise<number> {
  const { kid, activatesAt } = await commands.rotateSigningKeys();
  print(
    `${kid}  signs from ${activatesAt.toISOString()}; the one before is published for an hour after that`,
  );
  return 0;
}

/** The commands about the keys that sign access tokens. */
export async function keysCommand(
  commands: AuthCommands,
  verb: string | undefined,
  print: Print,
): Promise<number> {
  if (verb === "list") return list(commands, print);
  if (verb === "rotate") return rotate(commands, print);
  throw new UsageError("keys knows list and rotate");
}
