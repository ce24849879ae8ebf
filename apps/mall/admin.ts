import type { AuthCommands } from "@mall/auth/service";
import { AccountService, type UserAccess, UserStatus } from "@mall/gen/mall/auth/v1/accounts_pb";
import { isId } from "@mall/kernel/id";
import type { Mall } from "./mall";
import { UsageError } from "./usage";

type Print = (line: string) => void;

/** A command about one account: what it asks of the auth service with the word that follows the user. */
interface Command {
  /** What the word is; without one the command takes none. */
  word?: string;
  ask(mall: Mall, userId: string, word: string): Promise<{ access?: UserAccess }>;
}

const accounts = (mall: Mall) => mall.client(AccountService);
const set = (status: UserStatus): Command => ({
  word: "a reason such as fraud",
  ask: (mall, userId, reason) => accounts(mall).setUserStatus({ userId, status, reason }),
});

const commands: Readonly<Record<string, Command>> = {
  show: { ask: (mall, userId) => accounts(mall).getUserAccess({ userId }) },
  grant: { word: "a role", ask: (mall, userId, role) => accounts(mall).grantRole({ userId, role }) },
  revoke: { word: "a role", ask: (mall, userId, role) => accounts(mall).revokeRole({ userId, role }) },
  ban: set(UserStatus.BANNED),
  unban: set(UserStatus.ACTIVE),
};

async function create(auth: AuthCommands, email: string | undefined, print: Print): Promise<number> {
  if (!email) throw new UsageError("admin create needs an e-mail address");
  const { password } = await auth.createAdmin(email);
  print(
    password ? `Created ${email} with the one-time password ${password}` : `${email} is an administrator now`,
  );
  return 0;
}

/** The id of a user who is named by id or address. */
async function userOf(auth: AuthCommands, named: string): Promise<string> {
  if (isId(named)) return named;
  const id = await auth.findUser(named);
  if (!id) throw new Error(`no account has the address ${named}`);
  return id;
}

/** The commands about administrators and what they decide about accounts. */
export async function adminCommand(
  mall: Mall,
  auth: AuthCommands,
  [verb = "", user, word]: string[],
  print: Print,
): Promise<number> {
  if (verb === "create") return create(auth, user, print);
  const command = commands[verb];
  if (!command) throw new UsageError(`admin knows create, ${Object.keys(commands).join(", ")}`);
  if (!user) throw new UsageError(`admin ${verb} needs an e-mail address or the id of a user`);
  if (command.word && !word) throw new UsageError(`admin ${verb} needs ${command.word}`);
  const { access } = await command.ask(mall, await userOf(auth, user), word ?? "");
  const { userId, roles, status, banReason } = access!;
  const state = status === UserStatus.BANNED ? `banned (${banReason})` : "active";
  print(`${userId}: ${roles.join(" ")}, ${state}`);
  return 0;
}
