/** An error's details as they can cross a border: texts, numbers, bytes, lists and plain objects. */

const depthLimit = 8;

/** A copy that msgpack can hold. What is not data (functions, class instances) becomes its text. */
export function plainDetails(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return plainObject(details, 0);
}

function plainObject(value: object, depth: number): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value)) if (entry !== undefined) plain[key] = plainValue(entry, depth + 1);
  return plain;
}

function plainValue(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return value;
    case "bigint":
      return value >= -(2n ** 63n) && value < 2n ** 64n ? value : value.toString();
    case "object":
      if (value === null || value instanceof Uint8Array) return value;
      if (depth >= depthLimit) return String(value);
      if (Array.isArray(value) || value instanceof Set || value instanceof Map)
        return [...value].map((entry) => plainValue(entry, depth + 1));
      if (value instanceof Error) return value.message;
      return plainObject(value, depth);
    default:
      return String(value);
  }
}
