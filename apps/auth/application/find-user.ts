import type { Id } from "@mall/kernel/id";
import { findCredentials } from "../db/accounts";
import type { Deps } from "../deps";
import { registrableEmail } from "../domain/account";

/** Who has an address; undefined when nobody has. Fault VALIDATION. */
export const findUser =
  ({ db, people }: Pick<Deps, "db" | "people">) =>
  async (text: string): Promise<Id<"usr"> | undefined> =>
    (await findCredentials(db, people, registrableEmail(text)))?.account.id;
