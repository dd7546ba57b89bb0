/**
 * No request carries a path of the client's machine to be read: the client reads its user's files itself. So in the
 * table of requests every text is of a checked form (a store path, a name), or stands in exceptions.ts with the reason
 * why it leads to no file.
 */
import type { AnySchema } from "../../daemon/api/schema.ts";
import { exceptions } from "./exceptions.ts";
import type { Finding } from "./finding.ts";

const table = "daemon/api/msgpack-messages.ts";

export function checkClientPaths(
  requests: Readonly<Record<string, { readonly params: AnySchema }>>,
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

function findOpenTexts({ def, form }: AnySchema, field: string): OpenText[] {
  if (form?.clientPath === true) return [{ field, wrong: "carries a path of the client's machine" }];
  if (form !== undefined) return []; // a form of its own, checked when it comes in

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
    case "codec":
      return findOpenTexts(def.in, field);
    case "boolean":
    case "number":
    case "count":
    case "integer":
    case "bigint":
    case "enum":
    case "null":
    case "bytes":
      return [];
    default:
      return [{ field, wrong: `is a ${def.type} that nothing checks` }];
  }
}
