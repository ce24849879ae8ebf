import type { Form, Result } from "./proof";

/** How one proof ended. */
export interface Outcome {
  id: number;
  name: string;
  seconds: number;
  /** Undefined when it could not end. */
  result?: Result;
  /** Why it failed; empty when it passed. */
  failure: string;
}

/** The first fault of a result that never happened. */
export const unfired = ({ faults }: Result): string | undefined =>
  Object.entries(faults).find(([, times]) => times === 0)?.[0];

const cells = ({ id, name, result, failure, seconds }: Outcome): string[] => [
  `${id}`,
  name,
  result ? result.trials.toLocaleString("en") : "",
  Object.entries(result?.faults ?? {})
    .map(([fault, times]) => `${times.toLocaleString("en")} ${fault}`)
    .join("; "),
  failure ? "FAILED" : "passed",
  `${Math.round(seconds)} s`,
  (result?.notes ?? []).join("; "),
];

const heads = ["", "proof", "trials", "faults hit", "result", "time", "notes"];

/** The table of a run as Markdown, which a terminal shows well enough. */
export function table(outcomes: readonly Outcome[]): string {
  const rows = [heads, ...outcomes.map(cells)];
  const widths = heads.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`);
  return [lines[0], `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...lines.slice(1)].join(
    "\n",
  );
}

export interface RunFacts {
  form: Form;
  seed: string;
  seconds: number;
  machine: string;
  date: string;
  provider: string;
  copies: number;
}

/** infra/docs/proofs.md with the table of a run. */
export function page(outcomes: readonly Outcome[], facts: RunFacts): string {
  const compact = table(outcomes).replace(/ +\|/g, " |").replace(/-{4,}/g, "---");
  return `# Proofs
\`bun run prove\` starts a mall of ${facts.copies} processes a service on a real PostgreSQL, attacks it, and checks afterwards that
stock, orders, payments and the payment provider's own books agree to the unit and to the cent. What each proof does, and how it
failed when the guard it is about was removed, stands at the top of its file in \`infra/prove/proofs/\`.

\`\`\`sh
bun run prove                     # all of it; --short as in CI, --full with the full counts
bun run prove --only 1,5          # some of it
bun run prove --seed ${facts.seed}   # the same operations again
\`\`\`

Pass or fail depends on no wall time, except that everything must have ended 30 s after the faults did. A proof whose fault never
happened fails. On a failure the logs of all processes stay, in the folder that is printed.

## The last recorded run
${facts.form} form, ${facts.date}, ${facts.machine}, seed \`${facts.seed}\`, payment provider ${facts.provider}, ${Math.round(facts.seconds)} s.

${compact}
`;
}
