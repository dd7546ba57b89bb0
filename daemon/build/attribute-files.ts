/**
 * Structured attributes as the builder gets them: `.attrs.json`, and `.attrs.sh` for a shell to read.
 * Source: Nix libstore/parsed-derivations.cc (writeStructuredAttrs).
 */
import { bytes } from "../../derivations/bytes.ts";
import { isJsonObject, isRawNumber, type Json, type JsonObject, printJson } from "./json.ts";

export function printAttributesJson(attributes: JsonObject): Uint8Array {
  return bytes(printJson(attributes));
}

/** `declare` lines for what a shell can hold: simple values, lists and objects of simple values; the rest is left out. */
export function printAttributesShell(attributes: JsonObject): Uint8Array {
  const lines: string[] = [];
  for (const key of Object.keys(attributes).sort()) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) continue;
    const declaration = declare(key, attributes[key] ?? null);
    if (declaration !== undefined) lines.push(`${declaration}\n`);
  }
  return bytes(lines.join(""));
}

function declare(key: string, value: Json): string | undefined {
  const simple = simpleValue(value);
  if (simple !== undefined) return `declare ${key}=${simple}`;

  if (Array.isArray(value)) {
    const items = (value as readonly Json[]).map(simpleValue);
    return items.includes(undefined) ? undefined : `declare -a ${key}=(${items.map((item) => `${item} `).join("")})`;
  }
  if (!isJsonObject(value)) return undefined;
  let items = "";
  for (const inner of Object.keys(value).sort()) {
    const item = simpleValue(value[inner] ?? null);
    if (item === undefined) return undefined;
    items += `[${quote(inner)}]=${item} `;
  }
  return `declare -A ${key}=(${items})`;
}

function simpleValue(value: Json): string | undefined {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : undefined;
  if (typeof value === "boolean") return value ? "1" : "";
  if (value === null) return "''";
  if (isRawNumber(value) && Number.isInteger(Number(value.rawJSON))) return value.rawJSON.replace(/\.0*$/, "");
  return undefined;
}

function quote(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}
