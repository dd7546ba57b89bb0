/** docs/protocol.md: frames, messages, requests and values of the msgpack protocol. */
import type { z } from "zod";
import { frameLimitBytes, nestingLimit } from "../daemon/api/frames.ts";
import { limits, messages, protocolFeatures, protocolVersion } from "../daemon/api/messages.ts";
import { methods } from "../daemon/api/msgpack-messages.ts";
import type { Definition, Schema } from "../daemon/api/schema-definition.ts";
import * as values from "../daemon/api/wire-values.ts";

export function protocolPage(): string {
  return [head, frames, messagesSection(), requestsSection(), valuesSection()].join("\n");
}

const head = `# The msgpack protocol

What the client library, the command line and any other program speak to a daemon, over a Unix stream socket. This is
version ${protocolVersion.major}.${protocolVersion.minor}. This page is made from the tables in daemon/api by \`npm run docs\`.
`;

const frames = `## Frames

A frame is four bytes, the length of its body (unsigned, big endian), and the body, one
[msgpack](https://github.com/msgpack/msgpack/blob/master/spec.md) value: nil, booleans, numbers, str, bin, arrays, and
maps whose keys are str. Extension types are refused, also timestamps.

| limit | value |
|---|---|
| a frame's body | ${frameLimitBytes} bytes |
| a message to the daemon, sent in parts | ${limits.messageBytes} bytes |
| values in each other | ${nestingLimit} levels |
| requests that are open on one connection | ${limits.openRequests} |
| the window of a stream at its beginning | ${limits.windowBytes} bytes |

Who sends something else gets an \`error\` without an id, with a \`PROTOCOL_\` code (docs/errors.md), and its connection is closed.
Other connections do not notice. Within one major version a receiver ignores fields that it does not know, and messages of
a later minor version are sent only to who names their feature in its hello. Features so far: ${protocolFeatures.map((name) => `\`${name}\``).join(", ")}.
`;

function messagesSection(): string {
  const rows = Object.entries(messages).map(([kind, { from, does, schema, example }]) =>
    [
      `### ${kind}`,
      "",
      `From ${from === "both" ? "both sides" : `the ${from}`}. ${does}`,
      "",
      "```text",
      describe(schema as unknown as z.ZodType, 0),
      "```",
      "",
      `\`${JSON.stringify(example)}\``,
      "",
    ].join("\n"),
  );
  return `## Messages\n\nEach is a map with its \`kind\`.\n\n${rows.join("\n")}`;
}

function requestsSection(): string {
  const rows = Object.entries(methods).map(([name, { does, role, upload, download, events, params, result }]) =>
    [
      `### ${name}`,
      "",
      does,
      "",
      ...streamNotes({ role, upload, download, events }),
      "```text",
      `params ${describe(params as unknown as z.ZodType, 0)}`,
      `value ${describe(result as unknown as z.ZodType, 0)}`,
      "```",
      "",
    ].join("\n"),
  );
  return `## Requests\n\nA request's \`params\` and the \`value\` of its result. A field with \`?\` may be left out.\n\n${rows.join("\n")}`;
}

function streamNotes(row: { role: string; upload: boolean; download: boolean; events: boolean }): string[] {
  const notes = [
    row.role === "trusted" ? "For trusted users only." : "",
    row.upload ? "The client sends chunks, then `end`." : "",
    row.download ? "The daemon sends chunks, then the result." : "",
    row.events ? "The daemon sends events before the result." : "",
  ].filter((note) => note !== "");
  return notes.length === 0 ? [] : [notes.join(" "), ""];
}

/** Maps and unions that are exported under a name: told once below, and named elsewhere. */
const namedValues = new Map<z.ZodType, string>();
for (const [name, value] of Object.entries(values))
  if (isSchema(value) && !values.wireForms.has(value)) namedValues.set(value, name);

function valuesSection(): string {
  const forms = new Map<string, string>();
  for (const value of Object.values(values)) {
    const form = isSchema(value) ? values.wireForms.get(value) : undefined;
    if (form !== undefined) forms.set(form.name, form.form);
  }
  forms.set("dictionary of …", "list of pairs [text, …]: its keys are others' words");
  const table = [...forms].sort().map(([name, form]) => `| ${name} | ${form} |\n`);
  const maps = [...namedValues].map(
    ([schema, name]) => `### ${name}\n\n\`\`\`text\n${describe(schema, 0, true)}\n\`\`\`\n`,
  );
  return `## Values\n\n| value | how it is sent |\n|---|---|\n${table.join("")}\n${maps.join("\n")}`;
}

/** The form of a value in a message. `inFull` for a value that has a name: not just that. */
function describe(schema: z.ZodType, depth: number, inFull = false): string {
  const name = namedValues.get(schema);
  if (name !== undefined && !inFull) return name;
  const { def } = schema as unknown as Schema;
  const form = values.wireForms.get(schema);
  if (form?.name === "dictionary") return `dictionary of ${describe(dictionaryValue(def), depth)}`;
  if (form !== undefined) return form.name;
  switch (def.type) {
    case "object":
      return describeMap(def.shape, depth);
    case "array":
      return `list of ${describe(def.element, depth)}`;
    case "tuple":
      return `[${def.items.map((item) => describe(item, depth)).join(", ")}]`;
    case "union":
      return def.options.map((option) => describe(option, depth)).join(" or ");
    case "nullable":
      return `${describe(def.innerType, depth)} or nil`;
    case "optional":
      return describe(def.innerType, depth);
    case "pipe":
      return describe(def.in, depth);
    case "literal":
      return def.values.map((value) => JSON.stringify(value)).join(" or ");
    case "enum":
      return Object.values(def.entries)
        .map((value) => JSON.stringify(value))
        .join(" or ");
    case "string":
      return "text";
    case "null":
      return "nil";
    case "unknown":
      return "any";
    case "custom":
      return "any";
    case "record":
      return "map of any";
    case "bigint":
    case "number":
    case "boolean":
      return def.type;
    default:
      return def satisfies never;
  }
}

function describeMap(shape: Readonly<Record<string, z.ZodType>>, depth: number): string {
  const indent = "  ".repeat(depth + 1);
  const fields = Object.entries(shape).map(([name, field]) => {
    const mark = (field as unknown as Schema).def.type === "optional" ? "?" : "";
    return `${indent}${name}${mark}: ${describe(field, depth + 1)}`;
  });
  return fields.length === 0 ? "{}" : `{\n${fields.join("\n")}\n${"  ".repeat(depth)}}`;
}

/** What a dictionary's pairs hold beside their keys. */
function dictionaryValue(dictionary: Definition): z.ZodType {
  if (dictionary.type !== "pipe") throw new Error("a dictionary is a codec");
  const list = (dictionary.in as unknown as Schema).def;
  const pair = list.type === "array" ? (list.element as unknown as Schema).def : undefined;
  const value = pair?.type === "tuple" ? pair.items[1] : undefined;
  if (value === undefined) throw new Error("a dictionary is a list of pairs");
  return value;
}

function isSchema(value: unknown): value is z.ZodType {
  return typeof value === "object" && value !== null && "_zod" in value;
}
