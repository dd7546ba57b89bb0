/**
 * No request carries a path of the client's machine to be read: the client reads its user's files itself. So in the
 * table of requests every text is of a checked form (a store path, a name), or stands in exceptions.ts with the reason
 * why it leads to no file.
 */
import type { $ZodType, $ZodTypes } from "zod/v4/core";
import { type WireForm, wireForms } from "../../daemon/api/wire-values.ts";
import { exceptions } from "./exceptions.ts";
import type { Finding } from "./finding.ts";

const table = "daemon/api/msgpack-messages.ts";

export function checkClientPaths(
  requests: Readonly<Record<string, { readonly params: $ZodType }>>,
  excepted = exceptions,
): Finding[] {
  const reasons = excepted.filter(({ check }) => check === "client-paths").map(({ path }) => path);
  const fields = Object.entries(requests).flatMap(([name, { params }]) => findOpenTexts(params, name));
  const refused = fields.filter(({ field }) => !reasons.includes(field));
  const unused = reasons.filter((reason) => !fields.some(({ field }) => field === reason));
  return [
    ...refused.map(({ field, wrong }) => ({ path: table, line: 1, wrong: `${field} ${wrong}`, instead: "an upload" })),
    ...unused.map((field) => ({
      path: "test/tidy/exceptions.ts",
      line: 1,
      wrong: `${field} is excepted from client-paths and is no open text`,
      instead: "no exception",
    })),
  ];
}

interface OpenText {
  readonly field: string;
  readonly wrong: string;
}

function findOpenTexts(schema: $ZodType, field: string): OpenText[] {
  const form: WireForm | undefined = wireForms.get(schema as Parameters<typeof wireForms.get>[0]);
  if (form?.clientPath === true) return [{ field, wrong: "carries a path of the client's machine" }];
  if (form !== undefined) return []; // a form of its own, checked when it comes in

  const { def } = (schema as $ZodTypes)._zod;
  switch (def.type) {
    case "object":
      return Object.entries(def.shape).flatMap(([name, inner]) => findOpenTexts(inner, `${field}.${name}`));
    case "array":
      return findOpenTexts(def.element, `${field}[]`);
    case "union":
      return def.options.flatMap((option) => findOpenTexts(option, field));
    case "optional":
    case "nullable":
      return findOpenTexts(def.innerType, field);
    case "pipe":
      return findOpenTexts(def.in, field);
    case "boolean":
    case "number":
    case "bigint":
    case "enum":
    case "literal":
    case "null":
      return [];
    default:
      return [{ field, wrong: `is a ${def.type} that nothing checks` }];
  }
}
