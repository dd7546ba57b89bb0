/** docs/errors.md: every error code, what its message says, and what to do. */
import type { ErrorTable } from "../derivations/error.ts";

/** `files` are error tables by their paths from the repository's top. */
export async function errorsPage(files: readonly string[]): Promise<string> {
  const sections: string[] = [];
  for (const file of [...files].sort()) {
    const module = (await import(`../${file}`)) as Readonly<Record<string, unknown>>;
    const tables = Object.entries(module).filter(([name]) => name.endsWith("Errors"));
    for (const [, table] of tables) sections.push(section(file, table as ErrorTable));
  }
  return `${head}\n${sections.join("\n")}`;
}

const head = `# Errors

Every error has a code, which is the same on the command line, in \`--json\`, on the socket and in the library, a message,
its details as data, and a hint. Words in capitals stand for the details. This page is made from the tables in the
sources by \`npm run docs\`.
`;

function section(file: string, table: ErrorTable): string {
  const rows = Object.keys(table)
    .sort()
    .map((code) => {
      const row = table[code] as ErrorTable[string];
      const hint = typeof row.hint === "string" ? row.hint : example(row.hint);
      return `| \`${code}\` | ${cell(example(row.message))} | ${cell(hint)} |\n`;
    });
  const folder = file.replace(/\/errors\.ts$/, "");
  return `## ${folder}\n\n| code | message | what to do |\n|---|---|---|\n${rows.join("")}`;
}

/** What a row says of details that are their own names. */
function example(say: (details: unknown) => string): string {
  return say(new Proxy({}, { get: (_, name) => standIn(String(name)) }))
    .replaceAll('\\"', '"')
    .replace(/\b(undefined|NaN)\b/g, "…");
}

/** Something that passes for the text, the number, the list or the object that a row may expect of a detail. */
function standIn(name: string): unknown {
  const shown = name.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toUpperCase();
  const same = () => standIn(name);
  const text = () => shown;
  const special: Readonly<Record<string | symbol, unknown>> = {
    [Symbol.toPrimitive]: text,
    [Symbol.iterator]: () => [standIn(name)].values(),
    toString: text,
    toJSON: text,
    join: text,
    map: (transform: (item: unknown) => unknown) => [transform(standIn(name))],
    flatMap: (transform: (item: unknown) => unknown) => [transform(standIn(name))].flat(),
    slice: same,
    filter: same,
    at: same,
    length: 1,
  };
  return new Proxy(special, {
    get: (_, property) => {
      if (Object.hasOwn(special, property)) return special[property];
      const method: unknown = Reflect.get(String.prototype, property);
      return typeof method === "function" ? method.bind(shown) : standIn(String(property));
    },
  });
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ").replaceAll("<", "&lt;");
}
