import { notFound } from "@mall/kernel/fault";
import { dropRole } from "../db/policy";
import { changePolicy, type PolicyDeps } from "./change-policy";

/** Deletes a role. Fault ROLE_NOT_FOUND. */
export const deleteRole =
  (deps: PolicyDeps) =>
  (name: string): Promise<void> =>
    changePolicy(deps, { action: "DeleteRole", subject: name }, async (tx) => {
      if (!(await dropRole(tx, name))) throw notFound("ROLE");
    });
