/** What a client may ask a second daemon when the first one went away before it had answered, and what it held there. */
import type { StorePath } from "../../derivations/store-path.ts";
import type { MethodName, Params, Result } from "../api/msgpack-messages.ts";
import type { Connection } from "./connection.ts";

/**
 * Whether asking twice is as good as asking once. Nothing that takes a stream is (its bytes are gone), nor what would
 * do work again that somebody must know of, such as a build or a collection.
 */
export function isRepeatable(method: MethodName): boolean {
  return /^(?:status$|query|find|read|list)/.test(method) || method === "addText";
}

/** How many are remembered: who holds more is told that the rest was given up. */
const mostHeld = 100_000;

/** The paths on which a client's connection has a lease: what it added, asked for, or had built. */
export class HeldPaths {
  readonly #paths = new Set<StorePath>();
  #forgotten = 0;

  note<Name extends MethodName>(method: Name, params: Params<Name>, result: Result<Name>): void {
    for (const path of heldBy(method, params, result)) {
      if (this.#paths.size < mostHeld) this.#paths.add(path);
      else if (!this.#paths.has(path)) this.#forgotten += 1;
    }
  }

  /** Takes the leases on another connection, by asking whether the paths are valid. What was not to be had is let go. */
  async holdAgain(
    connection: Connection,
  ): Promise<{ readonly lost: readonly StorePath[]; readonly forgotten: number }> {
    const paths = [...this.#paths];
    const valid = paths.length === 0 ? [] : await connection.request("queryValidPaths", { paths });
    const held = new Set(valid);
    const lost = paths.filter((path) => !held.has(path));
    for (const path of lost) this.#paths.delete(path);
    const forgotten = this.#forgotten;
    this.#forgotten = 0;
    return { lost, forgotten };
  }
}

/** Source: the daemon's service takes a lease for its caller in these methods, and in no other one. */
function heldBy(method: MethodName, params: unknown, result: unknown): Iterable<StorePath> {
  switch (method) {
    case "addText":
      return [result as Result<"addText">];
    case "addSource":
      return [(result as Result<"addSource">).path];
    case "addNar":
      return [(params as Params<"addNar">).info.path];
    case "queryValidPaths":
      return result as Result<"queryValidPaths">;
    case "build":
    case "attach":
      return (result as Result<"build">).flatMap(({ outputs }) => Object.values(outputs));
    default:
      return [];
  }
}
