/**
 * What a person types for a store path: logical ("/cloister/store/…"), physical (below the store's root), a link to
 * one such as `result`, a bare base name, or a file inside one.
 */
import { readlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseStorePath, type StorePath } from "../../derivations/store-path.ts";
import type { Status } from "../api/service.ts";
import { CliError } from "./errors.ts";

export interface StorePlace {
  readonly path: StorePath;
  /** Below the path, without a slash at the start; "" for the path itself. */
  readonly inside: string;
}

/** Throws CLI_PATH_UNKNOWN when it names nothing in this store. */
export function parseStorePlace(text: string, cwd: string, status: Status): StorePlace {
  const place = findStorePlace(text, cwd, status);
  if (place === undefined) throw new CliError("CLI_PATH_UNKNOWN", { text, storeDirectory: status.storeDirectory });
  return place;
}

export function findStorePlace(text: string, cwd: string, status: Status): StorePlace | undefined {
  if (!text.includes("/")) {
    const bare = split(text);
    if (bare !== undefined) return bare;
  }
  let absolute = resolve(cwd, text);
  // Links are followed one at a time until one leads into the store; 40 is the kernel's own limit.
  for (let followed = 0; followed < 40; followed += 1) {
    for (const directory of [status.storeDirectory, status.realStoreDirectory])
      if (absolute.startsWith(`${directory}/`)) return split(absolute.slice(directory.length + 1));
    const target = findLink(absolute);
    if (target === undefined) return undefined;
    absolute = target;
  }
  return undefined;
}

/** Where a store path lies on this machine. */
export function realPathOf(path: StorePath, status: Status): string {
  return `${status.realStoreDirectory}/${path}`;
}

/** The path after the first link on the way to it is followed, or undefined where there is none. */
function findLink(absolute: string): string | undefined {
  const parts = absolute.split("/").filter((part) => part !== "");
  let prefix = "";
  for (const [index, part] of parts.entries()) {
    prefix = `${prefix}/${part}`;
    const target = readLink(prefix);
    if (target !== undefined) return resolve(dirname(prefix), target, ...parts.slice(index + 1));
  }
  return undefined;
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // not a link, not there, or not ours to look at: then it leads nowhere
  }
}

function split(below: string): StorePlace | undefined {
  const [base = "", ...inside] = below.split("/").filter((part) => part !== "");
  try {
    return { path: parseStorePath(base), inside: inside.join("/") };
  } catch {
    return undefined; // a name that is no store path is simply not one
  }
}
