/** What a derivation's description may hold, and sentences on what is wrong with one. */
import { z } from "zod";
import { findNearest } from "../api/nearest.ts";
import {
  type DerivationAttributes,
  type DerivationDescription,
  isReference,
  printWhere,
  type Reference,
  type Value,
  type World,
} from "./description.ts";
import { DefinitionError } from "./errors.ts";

const referenceText = "must be what source(…), derivation(…), output(…), file(…) or storePath(…) gives";

const reference = z.custom<Reference>(isReference, referenceText);

const text = z
  .string("must be a text")
  .refine((value) => !value.includes("\0"), "must not hold a NUL byte")
  .refine(
    (value) => !value.includes("[object Object]"),
    "holds `[object Object]`: an input cannot be put into a text; give it as an input and write its variable, such as $lib",
  );

const script = z.union([text, z.array(text)]);

const variableName = z
  .string()
  .regex(/^[^=\0]+$/, "cannot be the name of an environment variable")
  .refine((name) => !reservedNames.has(name), "is a variable that every build has; use another name");

const scalar = z.union([text, z.number(), z.boolean(), reference]);

const value = z.custom<Value>(
  (each) => scalar.safeParse(each).success || z.array(scalar).safeParse(each).success,
  "must be a text without NUL bytes, a number, true or false, a reference to something in the store, or a list of such",
);

const world = z.custom<World>(
  (each) =>
    each === "none" ||
    (typeof each === "object" && each !== null && "kind" in each && each.kind === "host-world") ||
    (isReference(each) && each.kind !== "file"),
  'must be "none", hostWorld([…]), or a source, derivation, output or store path that holds a root file system',
);

const pathName = /^[0-9a-zA-Z+._?=-]+$/;

const attributes = z
  .strictObject({
    name: z
      .string({ error: ({ input }) => (input === undefined ? "is missing" : "must be a text") })
      .regex(pathName, "may hold letters, digits and + - . _ ? = only, and must not be empty")
      .refine((name) => !name.endsWith(".drv"), "must not end with .drv"),
    world,
    inputs: z.record(variableName, reference).optional(),
    script: z
      .custom<string | string[]>(
        (each) => script.safeParse(each).success,
        "must be a text, or a list of lines; without NUL bytes",
      )
      .optional(),
    builder: z
      .custom<string | Reference>(
        (each) => text.safeParse(each).success || isReference(each),
        `must be a path in the world, or ${referenceText.slice(8)}`,
      )
      .optional(),
    args: z
      .array(
        z.custom<string | Reference>(
          (each) => text.safeParse(each).success || isReference(each),
          "must be a text or a reference",
        ),
      )
      .optional(),
    env: z.record(variableName, value).optional(),
    outputs: z
      .array(z.string().regex(pathName, "may hold letters, digits and + - . _ ? = only"))
      .min(1, "must name at least one output")
      .refine((ids) => new Set(ids).size === ids.length, "names an output twice")
      .optional(),
    system: z.string().min(1).optional(),
    fixed: z.strictObject({ hash: text, method: z.enum(["flat", "recursive"]) }).optional(),
    outputHash: text.optional(),
    outputHashAlgo: z.enum(["md5", "sha1", "sha256", "sha512"]).optional(),
    outputHashMode: z.enum(["flat", "recursive"]).optional(),
    contentAddressed: z.boolean().optional(),
    runtime: z.enum(["world", "none"]).optional(),
    passAsFile: z.array(variableName).optional(),
  })
  .superRefine((each, context) => {
    const refuse = (path: string[], message: string) => context.addIssue({ code: "custom", path, message });
    if (each.script !== undefined && (each.builder !== undefined || each.args !== undefined))
      refuse(["script"], "cannot stand beside builder and args: give one or the other");
    if (each.script === undefined && each.builder === undefined)
      refuse(["script"], "is missing (or give builder and args)");
    if (each.script !== undefined && each.world === "none")
      refuse(["script"], "needs a world with a shell; give builder and args");
    const hashes = [each.fixed, each.outputHash, each.contentAddressed === true || undefined];
    if (hashes.filter((hash) => hash !== undefined).length > 1)
      refuse(["fixed"], "fixed, outputHash and contentAddressed exclude each other");
    const isFixed = each.fixed !== undefined || each.outputHash !== undefined;
    if (isFixed && each.outputs !== undefined && (each.outputs.length !== 1 || each.outputs[0] !== "out"))
      refuse(["outputs"], 'must be ["out"] where the output\'s hash is fixed');
    const outputs: readonly string[] = each.outputs ?? ["out"];
    for (const name of Object.keys(each.inputs ?? {})) {
      if (outputs.includes(name)) refuse(["inputs", name], "is the name of an output too");
      if (each.env !== undefined && name in each.env) refuse(["env", name], "is the name of an input too");
    }
    for (const name of Object.keys(each.env ?? {}))
      if (outputs.includes(name)) refuse(["env", name], "is the name of an output");
    for (const name of each.passAsFile ?? [])
      if (!(name in (each.env ?? {})) && !(name in (each.inputs ?? {})))
        refuse(["passAsFile"], `names ${name}, which is neither in env nor in inputs`);
  });

/** Names that a derivation's own attributes give, or the jail. */
const reservedNames: ReadonlySet<string> = new Set([
  ...[
    "name",
    "builder",
    "system",
    "outputs",
    "outputHash",
    "outputHashAlgo",
    "outputHashMode",
    "passAsFile",
    "__world",
  ],
  ...[
    "__standalone",
    "__contentAddressed",
    "NIX_STORE",
    "NIX_BUILD_TOP",
    "NIX_BUILD_CORES",
    "PWD",
    "TMPDIR",
    "TEMPDIR",
    "TMP",
    "TEMP",
  ],
]);

/** The names that a description may have, for suggestions. */
const attributeNames: readonly string[] = Object.keys(attributes.shape);

/** Gives the attributes, checked. Throws DEFINITION_INVALID with a sentence for each problem. */
export function checkDescription(description: DerivationDescription): DerivationAttributes {
  const { kind: _kind, where: _where, ...given } = description;
  const result = attributes.safeParse(withoutUndefined(given));
  if (result.success) return result.data as DerivationAttributes;
  throw new DefinitionError("DEFINITION_INVALID", {
    where: printWhere(description),
    problems: printIssues(result.error, attributeNames),
  });
}

/** A sentence for each issue: where, and what is wrong; unknown names with what was probably meant. */
export function printIssues(error: z.ZodError, knownNames: readonly string[]): string[] {
  return error.issues.map((issue) => {
    const where = issue.path.map(String).join(".");
    if (issue.code === "unrecognized_keys")
      return issue.keys
        .map((key) => {
          const [nearest] = findNearest(key, knownNames);
          return `${where === "" ? "" : `${where}: `}there is no attribute ${key}${nearest === undefined ? "" : ` (did you mean ${nearest}?)`}`;
        })
        .join("; ");
    const message = issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message;
    return where === "" ? message : `${where}: ${message}`;
  });
}

/** With exactOptionalPropertyTypes a name that is there with the value undefined is a mistake of types only. */
function withoutUndefined(given: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([, each]) => each !== undefined));
}
