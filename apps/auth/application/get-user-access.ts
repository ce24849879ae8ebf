import { notFound } from "@mall/kernel/fault";
import type { Id } from "@mall/kernel/id";
import { findAccess } from "../db/access";
import type { Deps } from "../deps";
import type { Access } from "../domain/access";

/** Roles and status of an account. Fault ACCOUNT_NOT_FOUND. */
export const getUserAccess =
  ({ db }: Pick<Deps, "db">) =>
  async (userId: Id<"usr">): Promise<Access> => {
    const access = await findAccess(db, userId);
    if (!access) throw notFound("ACCOUNT");
    return access;
  };
