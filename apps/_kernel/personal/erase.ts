import type { Kernel } from "../app";
import type { Tx } from "../db/client";
import type { Id } from "../id";

/** Erases a subject in one service, for good, and writes down that it was done. */
export const erasePersonal =
  ({ personal, audit }: Pick<Kernel, "personal" | "audit">) =>
  async (tx: Tx, subject: Id): Promise<void> => {
    await personal.erase(tx, subject);
    await audit.record(tx, { action: "ErasePersonalData", subject });
  };
