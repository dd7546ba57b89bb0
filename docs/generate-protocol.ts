/** docs/protocol.md: frames, messages, requests and values of the msgpack protocol. */
import * as activityValues from "../daemon/api/activity-values.ts";
import { frameLimitBytes } from "../daemon/api/frames.ts";
import { limits, messages, protocolFeatures, protocolVersion } from "../daemon/api/messages.ts";
import { nestingLimit } from "../daemon/api/msgpack-decode.ts";
import { methods } from "../daemon/api/msgpack-messages.ts";
import type { AnySchema, Definition, Shape } from "../daemon/api/schema.ts";
import { reloadResult, settingValue } from "../daemon/api/setting-values.ts";
import * as wireValues from "../daemon/api/wire-values.ts";

const values: Readonly<Record<string, unknown>> = { ...wireValues, ...activityValues, reloadResult, settingValue };

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
      describe(schema, 0),
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
      `params ${describe(params, 0)}`,
      `value ${describe(result, 0)}`,
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
const namedValues = new Map<Definition, string>();
for (const [name, value] of Object.entries(values))
  if (isSchema(value) && value.form === undefined) namedValues.set(value.def, name);

function valuesSection(): string {
  const forms = new Map<string, string>();
  for (const value of Object.values(values))
    if (isSchema(value) && value.form !== undefined) forms.set(value.form.name, value.form.form);
  forms.set("dictionary of …", "list of pairs [text, …]: its keys are others' words");
  const table = [...forms].sort().map(([name, form]) => `| ${name} | ${form} |\n`);
  const maps = [...namedValues].map(([def, name]) => `### ${name}\n\n\`\`\`text\n${describeInFull(def, 0)}\n\`\`\`\n`);
  return `## Values\n\n| value | how it is sent |\n|---|---|\n${table.join("")}\n${maps.join("\n")}`;
}

/** The form of a value in a message, by its name if it has one. */
function describe({ def, form }: AnySchema, depth: number): string {
  const name = namedValues.get(def);
  if (name !== undefined) return name;
  if (form?.name === "dictionary") return `dictionary of ${describe(dictionaryValue(def), depth)}`;
  return form?.name ?? describeInFull(def, depth);
}

function describeInFull(def: Definition, depth: number): string {
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
    case "codec":
      return describe(def.in, depth);
    case "lazy":
      return describe(def.get(), depth);
    case "enum":
      return def.values.map((value) => JSON.stringify(value)).join(" or ");
    case "string":
      return "text";
    case "null":
      return "nil";
    case "unknown":
      return "any";
    case "record":
      return "map of any";
    case "bytes":
    case "count":
    case "integer":
    case "bigint":
    case "number":
    case "boolean":
      return def.type;
    default:
      return def satisfies never;
  }
}

function describeMap(shape: Shape, depth: number): string {
  const indent = "  ".repeat(depth + 1);
  const fields = Object.entries(shape).map(([name, field]) => {
    const mark = field.def.type === "optional" ? "?" : "";
    return `${indent}${name}${mark}: ${describe(field, depth + 1)}`;
  });
  return fields.length === 0 ? "{}" : `{\n${fields.join("\n")}\n${"  ".repeat(depth)}}`;
}

/** What a dictionary's pairs hold beside their keys. */
function dictionaryValue(dictionary: Definition): AnySchema {
  const list = dictionary.type === "codec" ? dictionary.in.def : undefined;
  const pair = list?.type === "array" ? list.element.def : undefined;
  const value = pair?.type === "tuple" ? pair.items[1] : undefined;
  if (value === undefined) throw new Error("a dictionary is a codec of a list of pairs");
  return value;
}

function isSchema(value: unknown): value is AnySchema {
  return typeof value === "object" && value !== null && "def" in value;
}
