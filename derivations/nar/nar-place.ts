/** Where in a tree an archive's events are: the names on the way from the top, as they come by. */
import { text } from "../bytes.ts";
import type { NarEvent } from "./grammar.ts";

export class NarPlace {
  /** Of each directory that is open: the name of the entry in it that was begun last. */
  readonly #names: string[] = [];

  /** Below the top, such as "bin/hello"; "" for the top itself. Names that are not UTF-8 have their bytes replaced. */
  get path(): string {
    return this.#names.join("/");
  }

  take(event: NarEvent): void {
    switch (event.kind) {
      case "directory":
        this.#names.push("");
        return;
      case "entry":
        this.#names[this.#names.length - 1] = text(event.name);
        return;
      case "end":
        this.#names.pop();
        return;
      default:
        return; // a file or a link lies where the last entry is
    }
  }
}
