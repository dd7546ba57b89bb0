/** Random values of any schema of daemon/api/wire-values.ts, as our own types have them. */
import fc, { type Arbitrary } from "fast-check";
import type { AnySchema, Shape } from "../../daemon/api/schema.ts";
import { contentAddress } from "../../daemon/api/wire-values.ts";
import { hashBytes, makeSha256 } from "../../derivations/hash.ts";
import { parseStoreDirectory, parseStorePath } from "../../derivations/store-path.ts";

const objectName = fc.stringMatching(/^[a-z0-9][0-9a-zA-Z+._?=-]{0,20}$/);
const storePath = fc
  .tuple(fc.stringMatching(/^[0-9abcdfghijklmnpqrsvwxyz]{32}$/), objectName)
  .map(([hash, name]) => parseStorePath(`${hash}-${name}`));
const bytes = fc.uint8Array({ maxLength: 40 });
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** By the names of wire-values' forms. */
const byForm: Readonly<Record<string, Arbitrary<unknown>>> = {
  "store path": storePath,
  "store directory": fc.constantFrom("/cloister/store", "/gnu/store").map(parseStoreDirectory),
  "client path": fc.stringMatching(/^\/[a-z/]{0,30}$/),
  name: objectName,
  bytes,
  size: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  count: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  sha256: digest.map(makeSha256),
  "store paths": fc.array(storePath, { maxLength: 5 }).map((paths) => new Set(paths)),
  "hash part": fc.stringMatching(/^[0-9abcdfghijklmnpqrsvwxyz]{32}$/),
};

export function arbitraryOf(schema: AnySchema, depth = 0): Arbitrary<unknown> {
  const { def, form } = schema;
  const known = form && byForm[form.name];
  if (known !== undefined) return known;
  if (form?.name === "dictionary") return dictionary(schema, depth);
  switch (def.type) {
    case "object":
      return fields(def.shape, depth);
    case "array":
      return fc.array(arbitraryOf(def.element, depth + 1), { maxLength: depth > 4 ? 0 : 4 });
    case "tuple":
      return fc.tuple(...def.items.map((item) => arbitraryOf(item, depth + 1)));
    case "union": {
      const options = depth > 4 ? def.options.slice(0, 1) : def.options; // past some depth only what holds nothing
      return fc.oneof(...options.map((option) => arbitraryOf(option, depth + 1)));
    }
    case "nullable":
      return fc.option(arbitraryOf(def.innerType, depth));
    case "optional":
      return arbitraryOf(def.innerType, depth);
    case "lazy":
      return arbitraryOf(def.get(), depth);
    case "enum":
      return fc.constantFrom(...def.values);
    case "codec": // of a map: an error's data or a content address
      return schema === contentAddress ? address : error;
    case "string":
      return fc.string();
    case "record":
      return fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.boolean(), fc.maxSafeInteger(), fc.constant(null)), {
        maxKeys: 4,
      });
    case "boolean":
      return fc.boolean();
    case "integer":
      return fc.maxSafeInteger();
    case "number":
      return fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0); // msgpack has no integer -0
    case "null":
      return fc.constant(null);
    default:
      throw new Error(`no values are known of a schema of the type ${def.type}`);
  }
}

const address = fc
  .tuple(fc.constantFrom("flat" as const, "recursive" as const), digest)
  .map(([method, data]) => ({ method, hash: hashBytes("sha256", data) }));

const error = fc.record({
  code: fc.string(),
  message: fc.string(),
  hint: fc.string(),
  details: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.oneof(fc.string(), fc.nat(), bytes)),
});

function fields(shape: Shape, depth: number): Arbitrary<unknown> {
  const required = Object.keys(shape).filter((name) => shape[name]?.def.type !== "optional");
  const model = Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, arbitraryOf(field, depth + 1)]));
  return fc.record(model, { requiredKeys: required, noNullPrototype: true });
}

/** Keys are others' words, also those that an object has of its own. */
function dictionary({ def }: AnySchema, depth: number): Arbitrary<unknown> {
  const list = def.type === "codec" ? def.in.def : undefined;
  const pair = list?.type === "array" ? list.element.def : undefined;
  const value = pair?.type === "tuple" ? pair.items[1] : undefined;
  if (value === undefined) throw new Error("a dictionary is a codec of a list of pairs");
  const key = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom("__proto__", "constructor", "toString"));
  return fc.array(fc.tuple(key, arbitraryOf(value, depth + 2)), { maxLength: depth > 4 ? 0 : 3 }).map((pairs) => {
    const record: Record<string, unknown> = Object.create(null);
    for (const [name, entry] of pairs) record[name] = entry;
    return record;
  });
}
