/**
 * What keeps paths alive on disk: symlinks in gcroots and profiles, in Nix's places. A permanent root is a symlink
 * there; an indirect one is a symlink of a user's, anywhere, which gcroots/auto points to. The user's link is only ever
 * readlink'ed. One that is gone keeps nothing any more; one that cannot be looked at keeps what it was last seen to.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readdirSync, rmSync } from "node:fs";
import { mkdir, readdir, readlink, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { encodeBase32 } from "../derivations/base32.ts";
import { hashPartLength, parseStorePath, printStorePath, type StorePath } from "../derivations/store-path.ts";
import { crashPoint } from "./crash-points.ts";
import { type Connection, nameDatabaseError } from "./database.ts";
import { errnoNameOf, nameDiskFull, reasonOf, StoreError } from "./errors.ts";
import type { StoreLayout } from "./layout.ts";
import type { Store } from "./store.ts";

export interface Root {
  readonly kind: "permanent" | "indirect" | "lease";
  /** Where the link lies (physical); for a lease who holds it. */
  readonly from: string;
  readonly path: StorePath;
  /** An indirect root whose link cannot be looked at counts as alive. */
  readonly unreadable: boolean;
}

export interface RootScan {
  readonly roots: readonly Root[];
  /** Links that cannot be looked at, of which it was never seen what they keep. */
  readonly unknown: readonly { readonly link: string; readonly reason: string }[];
  /** In gcroots/auto, whose link is gone: to be removed. */
  readonly gone: readonly string[];
}

export class GcRoots {
  readonly #layout: StoreLayout;
  readonly #connection: Connection;
  readonly #statements;

  /** `connection` is of cloister.sqlite. */
  constructor(layout: StoreLayout, connection: Connection) {
    this.#layout = layout;
    this.#connection = connection;
    this.#statements = {
      find: connection.prepare<[string], { readonly target: string }>(
        "select target from IndirectRoots where name = ?",
      ),
      save: connection.prepare<[string, string, string]>(
        "insert or replace into IndirectRoots (name, link, target) values (?, ?, ?)",
      ),
      forget: connection.prepare<[string]>("delete from IndirectRoots where name = ?"),
    };
  }

  /** Makes gcroots/NAME, or points it elsewhere. The caller holds the path and has seen it valid. Throws ROOT_NAME_INVALID. */
  async addPermanent(name: string, path: StorePath): Promise<void> {
    assertRootName(name);
    await this.#link(join(this.#layout.rootsDirectory, name), printStorePath(this.#layout.storeDirectory, path));
  }

  /** After a start: removes what a dead owner was about to make a root. */
  sweep(): void {
    for (const directory of [this.#layout.rootsDirectory, join(this.#layout.rootsDirectory, "auto")])
      for (const name of readdirSync(directory)) if (name.startsWith(temporaryPrefix)) rmSync(join(directory, name));
  }

  /** Registers a user's symlink. The caller holds the path and has seen it valid. Throws ROOT_LINK_INVALID. */
  async addIndirect(link: string, path: StorePath): Promise<void> {
    if (!isAbsolute(link) || resolve(link) !== link || link.includes("\0"))
      throw new StoreError("ROOT_LINK_INVALID", { link, reason: "it is not an absolute path in its shortest form" });
    const name = autoName(link);
    this.#save(name, link, path); // first: a root without it could not be looked up when its link is unreadable
    await this.#link(join(this.#layout.rootsDirectory, "auto", name), link);
  }

  /** `from` as `scan` says it, or a permanent root's name. The user's own link is left as it is. Throws ROOT_NOT_FOUND. */
  async remove(from: string): Promise<void> {
    const { rootsDirectory, profilesDirectory } = this.#layout;
    const auto = join(rootsDirectory, "auto", autoName(from));
    for (const file of [auto, isAbsolute(from) ? from : join(rootsDirectory, from)]) {
      if (!isBelow(file, rootsDirectory) && !isBelow(file, profilesDirectory)) continue;
      if (resolve(file) !== file || (await tryReadLink(file)).kind !== "link") continue;
      await rm(file);
      syncDirectory(dirname(file));
      if (file === auto) this.#statements.forget.run(autoName(from));
      return;
    }
    throw new StoreError("ROOT_NOT_FOUND", { from });
  }

  /** Reads all links. */
  async scan(): Promise<RootScan> {
    const found = { roots: [] as Root[], unknown: [] as { link: string; reason: string }[], gone: [] as string[] };
    const directories = [this.#layout.rootsDirectory, this.#layout.profilesDirectory];
    for (const directory of directories) // grows while it is walked
      for (const entry of await listDirectory(directory)) {
        const place = join(directory, entry.name);
        if (entry.isDirectory()) directories.push(place);
        else if (entry.isSymbolicLink()) await this.#scanLink(place, found);
        else if (entry.isFile()) {
          const path = this.#asStorePath(join(this.#layout.storeDirectory, entry.name));
          if (path !== undefined) found.roots.push({ kind: "permanent", from: place, path, unreadable: false });
        }
      }
    return found;
  }

  /** Removes registrations whose link is gone, as `scan` found them. */
  async forgetGone(gone: readonly string[]): Promise<void> {
    for (const name of gone) {
      const place = join(this.#layout.rootsDirectory, "auto", name);
      const registered = await tryReadLink(place);
      if (registered.kind !== "link" || (await tryReadLink(registered.target)).kind === "link") continue; // came back
      await rm(place, { force: true });
      this.#statements.forget.run(name);
    }
  }

  async #scanLink(
    place: string,
    found: { roots: Root[]; unknown: { link: string; reason: string }[]; gone: string[] },
  ): Promise<void> {
    const first = await tryReadLink(place);
    if (first.kind === "gone") return;
    if (first.kind === "unreadable") return void found.unknown.push({ link: place, reason: first.reason });
    const direct = this.#asStorePath(resolve(dirname(place), first.target));
    if (direct !== undefined)
      return void found.roots.push({ kind: "permanent", from: place, path: direct, unreadable: false });

    const link = resolve(dirname(place), first.target);
    if (link === this.#layout.profilesDirectory) return; // gcroots/profiles; walked on its own
    const second = await tryReadLink(link);
    const name = place.slice(place.lastIndexOf("/") + 1);
    const isAuto = dirname(place) === join(this.#layout.rootsDirectory, "auto");
    if (second.kind === "link") {
      const path = this.#asStorePath(resolve(dirname(link), second.target));
      if (path === undefined) return; // points elsewhere now; it may come back, so the registration stays
      if (isAuto && this.#statements.find.get(name)?.target !== path) this.#save(name, link, path);
      found.roots.push({ kind: "indirect", from: link, path, unreadable: false });
    } else if (second.kind === "unreadable") {
      const known = this.#statements.find.get(name)?.target;
      if (known === undefined) found.unknown.push({ link, reason: second.reason });
      else found.roots.push({ kind: "indirect", from: link, path: parseStorePath(known), unreadable: true });
    } else if (isAuto) {
      found.gone.push(name);
    }
  }

  /** The store path that a link's target is or lies in; physical and logical targets are both understood. */
  #asStorePath(target: string): StorePath | undefined {
    for (const directory of [this.#layout.storeDirectory, this.#layout.realStoreDirectory]) {
      if (!isBelow(target, directory)) continue;
      const baseName = target.slice(directory.length + 1).split("/", 1)[0] ?? "";
      if (baseName.length <= hashPartLength) return undefined;
      try {
        return parseStorePath(baseName);
      } catch {
        return undefined; // a file in the store directory that is no object
      }
    }
    return undefined;
  }

  #save(name: string, link: string, path: StorePath): void {
    try {
      this.#statements.save.run(name, link, path);
    } catch (error) {
      throw nameDatabaseError(error, this.#connection.name);
    }
  }

  async #link(place: string, target: string): Promise<void> {
    const temporary = join(dirname(place), `${temporaryPrefix}${basename(place)}`);
    try {
      await mkdir(dirname(place), { recursive: true });
      await rm(temporary, { force: true });
      await symlink(target, temporary);
      await rename(temporary, place);
      syncDirectory(dirname(place)); // a root that was promised outlives the machine, as what it keeps does
    } catch (error) {
      throw nameDiskFull(error, dirname(place), "a root");
    }
    crashPoint("root:written");
  }
}

/** Makes a permanent root of a valid path. Throws STORE_PATH_NOT_VALID, ROOT_NAME_INVALID, STORE_DISK_FULL. */
export async function addPermanentRoot(store: Store, name: string, path: StorePath): Promise<void> {
  using _lease = holdValid(store, path);
  await store.roots.addPermanent(name, path);
}

/** Registers a symlink of a user's as a root. Throws STORE_PATH_NOT_VALID, ROOT_LINK_INVALID, STORE_DISK_FULL. */
export async function addIndirectRoot(store: Store, link: string, path: StorePath): Promise<void> {
  using _lease = holdValid(store, path);
  await store.roots.addIndirect(link, path);
}

/** All roots: links on disk, and what is held now. */
export async function listRoots(store: Store): Promise<Root[]> {
  const { roots } = await store.roots.scan();
  return [...roots, ...leaseRoots(store)];
}

export function leaseRoots(store: Store): Root[] {
  return [...store.leases.entries()].map(({ owner, path }) => ({
    kind: "lease",
    from: owner,
    path,
    unreadable: false,
  }));
}

/** A running collection sees the hold, and the next one the root. */
function holdValid(store: Store, path: StorePath): Disposable {
  const lease = store.leases.hold("root", [path]);
  if (store.graph.has(path)) return lease;
  lease[Symbol.dispose]();
  throw new StoreError("STORE_PATH_NOT_VALID", { path });
}

/** Of a link that is about to be renamed; no root's name begins with a dot. */
const temporaryPrefix = ".new-";

/** Nix's name of an indirect root: base 32 of the SHA-1 of the link's path. */
export function autoName(link: string): string {
  return encodeBase32(createHash("sha1").update(link).digest());
}

function assertRootName(name: string): void {
  const refuse = (reason: string) => new StoreError("ROOT_NAME_INVALID", { name, reason });
  if (!/^[0-9a-zA-Z+._?=-]{1,200}$/.test(name))
    throw refuse("it is empty, too long, or has a character that is not allowed");
  if (name.startsWith(".")) throw refuse("it begins with a dot");
  if (["auto", "profiles", "per-user"].includes(name)) throw refuse("this name is the store's own");
}

type LinkState =
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "gone" }
  | { readonly kind: "unreadable"; readonly reason: string };

/** ENOENT, ENOTDIR: nothing is there; EINVAL: no symlink. All else means that we may not or cannot look. */
async function tryReadLink(link: string): Promise<LinkState> {
  try {
    return { kind: "link", target: await readlink(link) };
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EINVAL"].includes(errnoNameOf(error))) return { kind: "gone" };
    return { kind: "unreadable", reason: reasonOf(error) };
  }
}

async function listDirectory(directory: string) {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (errnoNameOf(error) === "ENOENT") return [];
    throw error; // what cannot be listed may keep anything: better no collection
  }
}

function syncDirectory(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(`${directory}/`);
}
