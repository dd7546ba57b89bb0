/** Reads what the real tools made; each file names the commands it came from. */
import { readFileSync } from "node:fs";

export function golden<Shape>(name: string): Shape {
  return JSON.parse(readFileSync(new URL(`../../golden/derivations/${name}`, import.meta.url), "utf8")) as Shape;
}
