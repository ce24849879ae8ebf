import type { AppParts, Kernel } from "../app";
import type { Id } from "../id";
import { clearRows } from "./clear-rows";
import { erasePersonal } from "./erase";

/** What the command line does with the personal data of a service. */
export interface DataKeyWork {
  /** Seals what is in the clear from before it was sealed, and tells how many rows. */
  seal(): Promise<number>;
  /** Whether rows are in the clear. */
  isClearLeft(): Promise<boolean>;
  /** Wraps all keys by the newest master key, and tells how many; what else a former one sealed is sealed anew, too. */
  rotate(): Promise<number>;
  /**
   * Destroys the key of a user, or of what stands for a guest, and with it everything personal about it here. A user of
   * whom nothing is left can register again.
   */
  erase(subject: Id): Promise<void>;
}

type Needed = Pick<Kernel, "name" | "db" | "dataKeys" | "personal" | "audit">;

/** The work on the data keys of one service. */
export function dataKeyWork(
  kernel: Needed,
  parts: Pick<AppParts, "clear" | "reseal" | "forget">,
): DataKeyWork {
  const { name, db, dataKeys, audit } = kernel;
  const rows = (parts.clear ?? []).map((table) => clearRows(name, dataKeys, table));
  return {
    async seal() {
      let total = 0;
      for (const each of rows) total += await each.seal(db);
      return total;
    },
    isClearLeft: async () => (await Promise.all(rows.map((each) => each.isLeft(db)))).includes(true),
    async rotate() {
      await parts.reseal?.();
      const keys = await dataKeys.rotate(db);
      await db.tx((tx) => audit.record(tx, { action: "RotateDataKeys", metadata: { keys } }));
      return keys;
    },
    erase: (subject) =>
      db.tx(async (tx) => {
        await parts.forget?.(tx, subject);
        await erasePersonal(kernel)(tx, subject);
      }),
  };
}
