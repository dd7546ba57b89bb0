/** What a check finds, and how it is shown. */
export interface Finding {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly wrong: string;
  /** What to write or do, so that it reads on after "use". */
  readonly instead: string;
}

export function printFinding({ path, line, wrong, instead }: Finding): string {
  return `${path}:${line}: ${wrong}; use ${instead}`;
}

/** The line, from 1, on which the character at `offset` stands. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}
