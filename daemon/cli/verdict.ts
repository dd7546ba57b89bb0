/** What a check found, as a person reads it. */
import type { Verdict } from "../../derivations/verdict.ts";
import type { Context } from "./context.ts";
import { cleanText } from "./terminal.ts";

/** "✔ built again in another jail: the same, bit for bit". */
export function printVerdict(verdict: Verdict, paint: Context["paint"]): string {
  const { finding, rounds } = verdict;
  const names = (list: readonly string[]) => list.map(cleanText).join(", ");
  const varied = verdict.varied.length === 0 ? "" : `, with another ${names(verdict.varied)}`;
  const times = rounds === 2 ? "built again in another jail" : `built ${rounds} times, each in a jail of its own`;
  switch (finding) {
    case "same":
      return `${paint.green("✔")} ${times}${varied}: the same, bit for bit`;
    case "depends":
      return `${paint.red("✘")} what makes the difference: ${paint.bold(names(verdict.causes))}`;
    case "combination":
      return `${paint.red("✘")} what makes the difference: several of ${names(verdict.causes)} together`;
    case "unsteady":
      return `${paint.red("✘")} it comes out differently when nothing is varied: a time, a random number, or chance`;
    case "store-differs":
      return `${paint.red("✘")} it comes out the same each time, and not as it is in the store`;
    default:
      return finding satisfies never;
  }
}
