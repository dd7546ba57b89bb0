/** The errors of the vocabulary: what texts, bytes and values from outside can have wrong. Offsets count bytes from the start. */
import { errorClass, row } from "./error.ts";

const archiveHint = "The archive is damaged or was not made by a NAR writer; make it again from the original tree";

export const derivationErrors = {
  BASE32_INVALID: row(
    (d: { text: string; reason: string }) => `${quote(d.text)} is not Nix base 32: ${d.reason}`,
    "Its digits are 0-9 and a-z without e, o, t and u; give all digits, as the tool printed them",
  ),
  HASH_INVALID: row(
    (d: { text: string; reason: string }) => `${quote(d.text)} is not a hash: ${d.reason}`,
    "Write sha256:DIGITS (base 16, base 32 or base 64) or sha256-BASE64; md5, sha1 and sha512 are known too",
  ),
  STORE_DIRECTORY_INVALID: row(
    (d: { text: string; reason: string }) => `${quote(d.text)} cannot be a store directory: ${d.reason}`,
    "Use an absolute path without a slash at the end, such as /cloister/store",
  ),
  STORE_PATH_INVALID: row(
    (d: { text: string; reason: string }) => `${quote(d.text)} is not a store path: ${d.reason}`,
    "A store path is STORE_DIRECTORY/HASH-NAME, where HASH has 32 base-32 digits",
  ),
  STORE_PATH_NAME_INVALID: row(
    (d: { name: string; reason: string }) => `the name ${quote(d.name)} cannot stand in a store path: ${d.reason}`,
    "Use 1 to 211 letters, digits and + - . _ ? =, and do not begin with `.-` or `..-`",
  ),
  CONTENT_ADDRESS_INVALID: row(
    (d: { text: string; reason: string }) => `${quote(d.text)} is not a content address: ${d.reason}`,
    "Write text:sha256:DIGITS, fixed:ALGORITHM:DIGITS or fixed:r:ALGORITHM:DIGITS",
  ),
  CONTENT_ADDRESS_REFERENCES: row(
    (d: { name: string; method: string; algorithm: string }) =>
      `${d.name} cannot have these references: a path addressed by ${d.method} ${d.algorithm} contents has no place for them`,
    "Address it by a recursive sha256 hash, or remove the references from its contents",
  ),
  DERIVED_PATH_INVALID: row(
    (d: { text: string; reason: string }) => `${quote(d.text)} does not name something to build: ${d.reason}`,
    "Write a store path, DRV^out,dev for some outputs of a derivation, or DRV^* for all",
  ),
  ATERM_INVALID: row(
    (d: { name: string; offset: number; expected: string }) =>
      `the derivation ${d.name} cannot be read: at byte ${d.offset}, ${d.expected} was expected`,
    "The .drv file is damaged or written by hand; instantiate it again",
  ),
  DERIVATION_VERSION_UNSUPPORTED: row(
    (d: { name: string; offset: number; version: string }) =>
      `the derivation ${d.name} is of the kind ${quote(d.version)} (dynamic derivations), which is not supported`,
    "Depend on the outputs of derivations that are known before any of them is built",
  ),
  DERIVATION_IMPURE_UNSUPPORTED: row(
    (d: { outputId: string }) => `output ${d.outputId} is impure: its contents may differ with each build`,
    "Remove __impure, or give the output a hash (outputHash)",
  ),
  DERIVATION_INVALID: row(
    (d: { name: string; reason: string }) => `the derivation ${quote(d.name)} is not valid: ${d.reason}`,
    "Correct the definition and instantiate it again",
  ),
  DERIVATION_CYCLE: row(
    (d: { drvPath: string }) => `the derivation ${d.drvPath} depends on itself`,
    "Take one of the dependencies out of the circle",
  ),
  DERIVATION_OUTPUT_MISMATCH: row(
    (d: { name: string; outputId: string; where: "path" | "environment"; expected: string; found: string }) =>
      `the derivation ${d.name} states ${quote(d.found)} as the ${d.where} of its output ${d.outputId}; it should be ${quote(d.expected)}`,
    "Do not edit .drv files: change the definition and instantiate it again",
  ),
  DERIVATION_JSON_INVALID: row(
    (d: { field: string; reason: string }) => `the JSON of a derivation is not valid at ${d.field}: ${d.reason}`,
    "Compare it with the output of `cloister instantiate --json` for a similar derivation",
  ),
  NAR_TRUNCATED: row(
    (d: { offset: number; expected: string }) =>
      `the archive ends at byte ${d.offset}, where ${d.expected} was expected`,
    "The transfer was cut short: send the archive again",
  ),
  NAR_TRAILING_BYTES: row(
    (d: { offset: number }) => `the archive is complete at byte ${d.offset}, but more bytes follow`,
    archiveHint,
  ),
  NAR_TOKEN_UNEXPECTED: row(
    (d: { offset: number; expected: string; found: string }) =>
      `the archive has ${d.found} at byte ${d.offset}, where ${d.expected} was expected`,
    archiveHint,
  ),
  NAR_PADDING_NONZERO: row(
    (d: { offset: number }) => `the archive's padding at byte ${d.offset} is not zero`,
    archiveHint,
  ),
  NAR_NAME_INVALID: row(
    (d: { offset: number; reason: "empty" | "dot" | "slash" | "nul" | "too-long" }) =>
      `the archive has a file name at byte ${d.offset} that cannot be: ${nameReasons[d.reason]}`,
    archiveHint,
  ),
  NAR_NAME_ORDER: row(
    (d: { offset: number; name: string; reason: "duplicate" | "unsorted" }) =>
      d.reason === "duplicate"
        ? `the archive has the file name ${quote(d.name)} twice in one directory (byte ${d.offset})`
        : `the archive has the file name ${quote(d.name)} after a greater one (byte ${d.offset})`,
    "Entries stand in the order of their bytes, each once; make the archive again from the original tree",
  ),
  NAR_TARGET_INVALID: row(
    (d: { offset: number; reason: "empty" | "nul" | "too-long" }) =>
      `the archive has a symbolic link at byte ${d.offset} whose target cannot be: ${targetReasons[d.reason]}`,
    archiveHint,
  ),
  NAR_TOO_DEEP: row(
    (d: { offset: number; limit: number }) =>
      `the archive's directories are nested deeper than ${d.limit} levels (byte ${d.offset})`,
    "Make the tree flatter, or pack the deep part of it into one file",
  ),
  NAR_LENGTH_TOO_BIG: row(
    (d: { offset: number; length: bigint }) => `the archive states a length of ${d.length} bytes at byte ${d.offset}`,
    archiveHint,
  ),
  NAR_EVENT_UNEXPECTED: row(
    (d: { offset: number; expected: string; found: string }) =>
      `an archive cannot go on with ${d.found} at byte ${d.offset}: ${d.expected} must come`,
    "This is a mistake in the program that writes the archive (a file that changed its size while it was read, perhaps)",
  ),
} as const;

export const DerivationError = errorClass(derivationErrors, "DerivationError");

const nameReasons = {
  empty: "it is empty",
  dot: "it is `.` or `..`",
  slash: "it has a slash",
  nul: "it has a NUL byte",
  "too-long": "it is longer than 255 bytes",
};

const targetReasons = {
  empty: "it is empty",
  nul: "it has a NUL byte",
  "too-long": "it is longer than 4095 bytes",
};

/** A text from outside for a message: on one line, without control characters, and not endless. */
function quote(value: string): string {
  return JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}…` : value);
}
