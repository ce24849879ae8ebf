import { deadLettersOf, redrive } from "@mall/kernel/bus/dead-letters";
import { type ServiceName, serviceNames } from "@mall/kernel/topology";
import type { Mall } from "./mall";

type Print = (line: string) => void;

const typeOf = (event: unknown): string => {
  const { type } = (event ?? {}) as { type?: unknown };
  return typeof type === "string" ? type : "no event";
};

/** Prints the dead letters that wait, of one service or of all: 1,000 of each at most. Exit code 0. */
export async function listDeadLetters(
  mall: Mall,
  service: ServiceName | undefined,
  print: Print,
): Promise<number> {
  let count = 0;
  for (const name of service ? [service] : serviceNames) {
    const letters = await deadLettersOf(name).list(mall.resourcesOf(name).db);
    count += letters.length;
    for (const { id, consumer, event, error, deadAt } of letters)
      print(`${name}  ${id}  ${deadAt.toISOString()}  ${typeOf(event)} → ${consumer}: ${error}`);
  }
  print(count === 0 ? "No dead letters." : `${count} dead letters.`);
  return 0;
}

/**
 * Hands dead letters of a service to their consumers again, here and now: one by its id, or all that wait. Exit code 0
 * when every one was handled, 1 when one was not, or had been before.
 */
export async function redriveDeadLetters(
  mall: Mall,
  service: ServiceName,
  which: { id: string } | "all",
  print: Print,
): Promise<number> {
  const { db, clock } = mall.resourcesOf(service);
  const letters = deadLettersOf(service);
  const ids = which === "all" ? (await letters.list(db)).map(({ id }) => id) : [which.id];
  let handled = 0;
  for (const id of ids) {
    const end = await redrive(db, letters, id, ({ consumer, event }) => mall.handle(consumer, event), clock);
    if (end.kind === "delivered") handled++;
    if (end.kind === "delivered") print(`${id}: delivered`);
    if (end.kind === "unknown") print(`${id}: ${service} has no such dead letter`);
    if (end.kind === "done") print(`${id}: was delivered at ${end.at.toISOString()}, nothing to do`);
    if (end.kind === "refused") print(`${id}: refused again: ${end.error}`);
  }
  print(`${handled} of ${ids.length} delivered.`);
  return handled === ids.length ? 0 : 1;
}
