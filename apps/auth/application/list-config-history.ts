import type { Revision } from "../config/port";
import type { Deps } from "../deps";

/** A page of revisions, newest first, and the one the next page starts before. */
export const listConfigHistory =
  ({ config }: Pick<Deps, "config">) =>
  async (page: { size: number; before?: number }): Promise<{ revisions: Revision[]; next?: number }> => {
    const found = await config.list(page.before, page.size + 1);
    const revisions = found.slice(0, page.size);
    return { revisions, next: found.length > page.size ? revisions.at(-1)!.revision : undefined };
  };
