/** docs/json.md: what each command prints with `--json`. */
import { z } from "zod";
import { jsonOutputs } from "../daemon/cli/json-schemas.ts";

/** The part of JSON Schema that zod makes of our schemas. */
interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly string[];
  readonly const?: string;
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
}

export function jsonPage(): string {
  const defined = new Map<string, JsonSchema>();
  const sections = Object.entries(jsonOutputs).map(([name, schema]) => {
    const title = name === "error" ? "## When a command fails" : `## cloister ${name}`;
    const said = name === "error" ? failureText : "";
    const made = z.toJSONSchema(schema) as JsonSchema;
    for (const [id, part] of Object.entries(made.$defs ?? {})) defined.set(id, part);
    return `${title}\n\n${said}${block(made)}`;
  });
  const parts = [...defined].map(([id, part]) => `### ${id}\n\n${block(part)}`);
  return `${head}\n${sections.join("\n")}\n## Parts of these\n\n${parts.join("\n")}`;
}

const head = `# What \`--json\` prints

With \`--json\` a command prints one JSON value on stdout and nothing on stderr. Its exit status says how it ended, as
without: 0 done, 1 the build or operation failed, 2 wrong usage, 130 interrupted. Fields with \`?\` may be absent. Later
versions may add fields. \`cat\` has no \`--json\`: it prints a file's bytes. What is interrupted
prints nothing. This page is made from the schemas in
daemon/cli/json-schemas.ts by \`npm run docs\`; the tests hold the commands to them.
`;

const failureText = `Whatever the command was, unless it has something to tell all the same (\`build\` has its results, with an error in each
that failed):

`;

function block(schema: JsonSchema): string {
  const note = schema.description === undefined ? "" : `${schema.description}\n\n`;
  return `${note}\`\`\`text\n${describe(schema, "")}\n\`\`\`\n`;
}

/** A schema as indented text, a field a line: "name?: type    what it is". */
function describe(schema: JsonSchema, indent: string): string {
  const inner = `${indent}  `;
  if (schema.properties !== undefined) {
    const fields = Object.entries(schema.properties).map(([name, field]) => {
      const optional = schema.required?.includes(name) === true ? "" : "?";
      const note = field.description === undefined ? "" : `    (${field.description})`;
      const type = describe(field, inner);
      const [first = "", ...rest] = type.split("\n");
      return [`${inner}${name}${optional}: ${first}${note}`, ...rest].join("\n");
    });
    return `{\n${fields.join("\n")}\n${indent}}`;
  }
  if (schema.$ref !== undefined) return schema.$ref.replace("#/$defs/", "");
  if (schema.items !== undefined) return `[ ${describe(schema.items, indent)}, … ]`;
  if (schema.anyOf !== undefined) return schema.anyOf.map((one) => describe(one, indent)).join(" | ");
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (typeof schema.additionalProperties === "object") {
    const value = describe(schema.additionalProperties, indent);
    return `{ NAME: ${value}, … }`;
  }
  return schema.type ?? "any";
}
