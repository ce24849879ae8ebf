/** One instruction of a Dockerfile: its keyword and what follows, continued lines joined. */
export interface Instruction {
  keyword: string;
  rest: string;
}

/** The stages of a Dockerfile: the instructions after each FROM. */
export function stagesOf(text: string): Instruction[][] {
  const stages: Instruction[][] = [];
  const lines = text.replace(/\\\n\s*/g, "").split("\n");
  for (const line of lines) {
    const match = /^([A-Z]+)\s+(.*)$/.exec(line);
    if (!match) continue;
    const [, keyword, rest] = match as unknown as [string, string, string];
    if (keyword === "FROM") stages.push([]);
    stages.at(-1)?.push({ keyword, rest });
  }
  return stages;
}
