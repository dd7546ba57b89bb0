/** The errors of the store: what cannot be added, read, kept or removed, and what its disk and its databases refuse. */
import { type ErrorData, errorClass, row } from "../derivations/error.ts";

const damaged = "It was not registered; ask the sender to send it again, or make it again from its source";

export const storeErrors = {
  STORE_IN_USE: row(
    (d: { stateDirectory: string; pid: number | null }) =>
      `the store of ${d.stateDirectory} is served by another daemon${d.pid === null ? "" : ` (process ${d.pid})`}`,
    "Use that daemon by its socket, or end it with `cloister daemon stop`",
  ),
  STORE_NOT_WRITABLE: row(
    (d: { directory: string; reason: string }) => `${d.directory} cannot be written to: ${d.reason}`,
    "Use a store of your own (without --root, or with --root DIRECTORY), or start the daemon as the store's owner",
  ),
  STORE_DATABASE_UNUSABLE: row(
    (d: { file: string; reason: string }) => `the database ${d.file} cannot be used: ${d.reason}`,
    "If another program has it open, end that; if it is damaged, restore it from a copy together with its -wal file",
  ),
  STORE_SCHEMA_UNKNOWN: row(
    (d: { file: string; found: string; known: number }) =>
      `${d.file} says schema ${d.found}, and this version knows ${d.known}`,
    "Use the version of the program that wrote it; a store of Guix or of an old Nix cannot be opened in place",
  ),
  STORE_DISK_FULL: row(
    (d: { directory: string; doing: string }) => `no space is left in ${d.directory} for ${d.doing}`,
    "Free space with `cloister gc`, then try again",
  ),
  STORE_NO_ROOM_TO_OPEN: row(
    (d: { stateDirectory: string }) => `the disk of ${d.stateDirectory} is full: there is no room to open the store`,
    "Free some 10 MiB there by other means, then more with `cloister gc`",
  ),
  STORE_PATH_NOT_VALID: row(
    (d: { path: string }) => `${d.path} is not in the store`,
    "Build it or add it first; a path that was collected has to be made again",
  ),
  STORE_PATH_DAMAGED: row(
    (d: { path: string; reason: string }) => `${d.path} is in the store, but cannot be read: ${d.reason}`,
    "Delete it with `cloister gc PATH` and make it again",
  ),
  STORE_FILE_NOT_FOUND: row(
    (d: { path: string; inside: string; reason: string }) =>
      `${d.path}${d.inside && `/${d.inside}`} cannot be read: ${d.reason}`,
    (d) => `\`cloister ls -R ${d.path}\` shows what is in it; give the name of a regular file`,
  ),
  STORE_NAR_HASH_MISMATCH: row(
    (d: { path: string; promised: string; received: string }) =>
      `the archive for ${d.path} hashes to ${d.received}, but ${d.promised} was promised`,
    damaged,
  ),
  STORE_NAR_SIZE_MISMATCH: row(
    (d: { path: string; promised: bigint; received: bigint }) =>
      `the archive for ${d.path} has ${d.received} bytes, but ${d.promised} were promised`,
    damaged,
  ),
  STORE_PATH_MISMATCH: row(
    (d: { path: string; expected: string }) => `${d.path} is not the path of these contents, which is ${d.expected}`,
    "Its name, contents, references and content address must be those it was made from; make it again",
  ),
  STORE_CONTENT_HASH_MISMATCH: row(
    (d: { name: string; promised: string; received: string }) =>
      `the contents of ${d.name} hash to ${d.received}, but ${d.promised} was promised`,
    damaged,
  ),
  STORE_CONTENT_NOT_FLAT: row(
    (d: { name: string }) =>
      `${d.name} is addressed by a flat hash, but is not a regular file without the executable bit`,
    "Address it by a recursive hash",
  ),
  STORE_PATH_UNPROVEN: row(
    (d: { path: string }) => `${d.path} says of itself what cannot be checked: it is not content-addressed`,
    "Let a trusted user add it (trustedUsers in the daemon's configuration)",
  ),
  STORE_REFERENCE_NOT_VALID: row(
    (d: { path: string; reference: string }) => `${d.path} refers to ${d.reference}, which is not in the store`,
    "Add what it refers to first",
  ),
  STORE_REFERENCE_CYCLE: row(
    (d: { paths: readonly string[] }) => `${d.paths.join(", ")} refer to each other in a circle`,
    "Move what both need into an output of its own",
  ),
  STORE_DERIVATION_REFERENCES: row(
    (d: { path: string; missing: readonly string[]; surplus: readonly string[] }) =>
      `the references given for ${d.path} are not its inputs: ${[
        ...d.missing.map((path) => `${path} is missing`),
        ...d.surplus.map((path) => `${path} is no input`),
      ].join(", ")}`,
    "A .drv refers to its input derivations and input sources, no more and no less",
  ),
  STORE_BUILD_INTERRUPTED: row(
    (d: { name: string }) => `the build of ${d.name} was cut off when its daemon ended`,
    "Start it again",
  ),
  STORE_CLOSED: row(
    (d: { doing: string }) => `the store is closing: ${d.doing} is not done any more`,
    "Connect again and repeat the request",
  ),
  ROOT_NAME_INVALID: row(
    (d: { name: string; reason: string }) => `${JSON.stringify(d.name)} cannot be the name of a root: ${d.reason}`,
    "Use letters, digits and + - . _ ? =, and do not begin with a dot",
  ),
  ROOT_LINK_INVALID: row(
    (d: { link: string; reason: string }) => `${d.link} cannot be a root: ${d.reason}`,
    "Give the absolute path of a symlink that points into the store",
  ),
  ROOT_NOT_FOUND: row((d: { from: string }) => `there is no root ${d.from}`, "`cloister roots` lists them"),
  ROOT_UNREADABLE: row(
    (d: { link: string; reason: string }) =>
      `the root ${d.link} cannot be looked at (${d.reason}) and it is not known what it keeps, so nothing is collected`,
    "Let the daemon read the link, or remove the root with `cloister roots remove LINK`",
  ),
  GC_PATH_ALIVE: row(
    (d: { path: string; keptBy: string; through: readonly string[] }) =>
      `${d.path} is alive: ${d.keptBy} keeps it${d.through.length === 0 ? "" : `, through ${d.through.join(" → ")}`}`,
    "Remove that root (`cloister roots`), or wait until what uses it has ended",
  ),
  GC_RUNNING: row(() => "another collection is running", "Wait for it to end"),
} as const;

export const StoreError = errorClass(storeErrors, "StoreError");

/** What a record says of a build that its daemon did not survive. */
export function interruptedBuild(name: string): ErrorData {
  return new StoreError("STORE_BUILD_INTERRUPTED", { name }).toData();
}

/** True for "no space" and "quota exceeded", whoever says so: Node, SQLite or the writer. */
export function isDiskFull(error: unknown): boolean {
  if (codeOf(error) === "STRENGTH_UNAVAILABLE") return false; // there ENOSPC is a limit on namespaces: unshare(2)
  return fullCodes.has(codeOf(error)) || fullCodes.has(detailOf(error, "errnoName")) || detailOf(error, "errno") === 28;
}

/** The system's name of what went wrong, such as ENOENT; "" where there is none. */
export function errnoNameOf(error: unknown): string {
  const detail = detailOf(error, "errnoName");
  return typeof detail === "string" ? detail : String(codeOf(error) ?? "");
}

/** A sentence for people about any thrown value. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** As it is, or as STORE_DISK_FULL where the disk is full. */
export function nameDiskFull(error: unknown, directory: string, doing: string): unknown {
  const isToBeNamed = isDiskFull(error) && codeOf(error) !== "STORE_DISK_FULL";
  return isToBeNamed ? new StoreError("STORE_DISK_FULL", { directory, doing }, { cause: error }) : error;
}

const fullCodes: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "SQLITE_FULL", "STORE_DISK_FULL"]);

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function detailOf(error: unknown, name: string): unknown {
  if (!(error instanceof Error) || !("details" in error)) return undefined;
  return (error.details as Readonly<Record<string, unknown>> | undefined)?.[name];
}
