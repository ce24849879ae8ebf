import type { MallApp } from "@mall/kernel/app";
import { type Id, isId } from "@mall/kernel/id";
import type { Mall } from "./mall";
import { UsageError } from "./usage";

type Print = (line: string) => void;

/** Rows that somebody works on are passed over: how often they are tried again, a second apart. */
const tries = 10;

/** Seals what a service has in the clear; false when something stays. */
async function sealApp({ name, dataKeys }: MallApp, print: Print): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    const rows = await dataKeys.seal();
    if (rows > 0) print(`${name}: ${rows} rows sealed`);
    if (!(await dataKeys.isClearLeft())) return true;
    if (attempt === tries) {
      print(`${name}: rows that others work on are still in the clear, try again`);
      return false;
    }
    await Bun.sleep(1000);
  }
}

async function seal(mall: Mall, print: Print): Promise<number> {
  let isDone = true;
  for (const app of mall.apps) isDone = (await sealApp(app, print)) && isDone;
  if (isDone) print("Nothing personal is in the clear.");
  return isDone ? 0 : 1;
}

async function rotate(mall: Mall, print: Print): Promise<number> {
  let total = 0;
  for (const { dataKeys } of mall.apps) total += await dataKeys.rotate();
  print(`${total} data keys wrapped by the newest master key`);
  return 0;
}

async function erase(mall: Mall, subject: string | undefined, print: Print): Promise<number> {
  if (!isId(subject)) throw new UsageError("data-keys erase needs the id of a user or of a guest's order");
  for (const { dataKeys } of mall.apps) await dataKeys.erase(subject as Id);
  print(`${subject} is erased: what is personal about it cannot be read again`);
  return 0;
}

/** The commands about keys of people. Exit code 0, or 1 when something is left to do. */
export async function dataKeysCommand(mall: Mall, [verb, subject]: string[], print: Print): Promise<number> {
  if (verb === "seal") return seal(mall, print);
  if (verb === "rotate") return rotate(mall, print);
  if (verb === "erase") return erase(mall, subject, print);
  throw new UsageError("data-keys knows seal, rotate and erase");
}
