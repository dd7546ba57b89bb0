/**
 * What an archive holds, without the contents: the JSON that Nix writes as .ls files beside the archives of a cache.
 * Source: Nix libutil/nar-listing.cc; the output of `nix nar ls --json --recursive`.
 */
import { Buffer } from "node:buffer";
import { bytes, bytesEqual, text } from "../bytes.ts";
import type { NarEvent } from "./grammar.ts";

/** Plain data for JSON; `entries` has no prototype, so that any name can be a key. */
export type NarListing =
  | {
      readonly type: "regular";
      /** In bytes. */
      readonly size: number;
      readonly executable?: true;
      /** Where the contents begin in the archive, in bytes; absent if there is no archive. */
      readonly narOffset?: number;
    }
  | { readonly type: "symlink"; readonly target: string }
  | { readonly type: "directory"; readonly entries: Readonly<Record<string, NarListing>> };

/** The listing of a decoded archive. */
export function listNar(events: Iterable<NarEvent>): NarListing {
  const lister = new NarLister();
  for (const event of events) lister.push(event);
  return lister.finish();
}

/** Takes the events of `NarDecoder` one by one; keeps none of the contents. */
export class NarLister {
  #root: NarListing | undefined;
  readonly #directories: Record<string, NarListing>[] = [];
  #name = "";

  push(event: NarEvent): void {
    switch (event.kind) {
      case "entry":
        this.#name = nameForJson(event.name);
        break;
      case "directory": {
        const entries: Record<string, NarListing> = Object.create(null);
        this.#add({ type: "directory", entries });
        this.#directories.push(entries);
        break;
      }
      case "end":
        this.#directories.pop();
        break;
      case "symlink":
        this.#add({ type: "symlink", target: nameForJson(event.target) });
        break;
      case "file":
        this.#add({
          type: "regular",
          size: Number(event.size),
          ...(event.executable ? { executable: true } : {}),
          ...(event.offset === undefined ? {} : { narOffset: event.offset }),
        });
        break;
      case "contents":
        break;
      default:
        event satisfies never;
    }
  }

  finish(): NarListing {
    if (this.#root === undefined) throw new Error("a listing was asked for before the archive began");
    return this.#root;
  }

  #add(listing: NarListing): void {
    const directory = this.#directories.at(-1);
    if (directory === undefined) this.#root = listing;
    else directory[this.#name] = listing;
  }
}

/** The contents of a .ls file. */
export function printListing(root: NarListing): string {
  return JSON.stringify({ version: 1, root });
}

/** The listing of one path in the tree (no links are followed), or undefined if there is nothing. */
export function findInListing(root: NarListing, parts: readonly string[]): NarListing | undefined {
  let listing: NarListing | undefined = root;
  for (const part of parts) listing = listing?.type === "directory" ? listing.entries[part] : undefined;
  return listing;
}

/** A file name as text. What is not UTF-8 is shown as `\xHH` for each byte past ASCII: JSON has no bytes. */
function nameForJson(name: Uint8Array): string {
  const shown = text(name);
  if (bytesEqual(bytes(shown), name)) return shown;
  return Buffer.from(name)
    .toString("latin1")
    .replace(/[\x80-\xff]/g, (character) => `\\x${character.charCodeAt(0).toString(16)}`);
}

/** Why a listing has no file at a place such as "bin/hello", told by what is there; undefined if it has one. */
export function describeMissing(listing: NarListing, inside: string): string | undefined {
  let found = listing;
  let place = "it";
  for (const name of inside.split("/").filter((part) => part !== "")) {
    if (found.type === "symlink") return `${place} is a symbolic link to ${found.target}, which is not followed`;
    if (found.type === "regular") return `${place} is a file`;
    const next = Object.hasOwn(found.entries, name) ? found.entries[name] : undefined;
    if (next === undefined) return `there is no ${name} in ${place}, which holds ${printNames(found.entries)}`;
    found = next;
    place = place === "it" ? name : `${place}/${name}`;
  }
  if (found.type === "symlink") return `${place} is a symbolic link to ${found.target}, which is not followed`;
  return found.type === "directory" ? `${place} is a directory, which holds ${printNames(found.entries)}` : undefined;
}

const shownNames = 10;

function printNames(entries: Readonly<Record<string, NarListing>>): string {
  const names = Object.keys(entries);
  if (names.length === 0) return "nothing";
  const more = names.length - shownNames;
  return `${names.slice(0, shownNames).join(", ")}${more > 0 ? `, and ${more} more` : ""}`;
}
