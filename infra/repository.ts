import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** Folder of the checkout. */
export const root = resolve(import.meta.dir, "..");

const ignored = readFileSync(join(root, ".gitignore"), "utf8")
  .split("\n")
  .filter(Boolean)
  .map((line) => new Bun.Glob(line.replace(/\/$/, "")));

const isOurs = (name: string): boolean => name !== ".git" && !ignored.some((glob) => glob.match(name));

/** Paths of all files of the repository relative to its root, without what git ignores. Needs no git. */
export function repositoryFiles(folder = ""): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => isOurs(entry.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? repositoryFiles(path) : [path];
    })
    .sort();
}

/** The text of a file of the repository. */
export const textOf = (path: string): string => readFileSync(join(root, path), "utf8");
