/**
 * The text of a .drv file, both ways, byte for byte as Nix and Guix write it:
 *
 *     Derive(OUTPUTS,INPUTDRVS,INPUTSRCS,SYSTEM,BUILDER,ARGS,ENV)
 *     OUTPUTS    [("ID","PATH","METHOD AND ALGORITHM","HASH"),…]   by id
 *     INPUTDRVS  [("PATH",["ID",…]),…]                             by path; ids sorted
 *     INPUTSRCS  ["PATH",…]                                        sorted
 *     ARGS       ["ARGUMENT",…]                                    in their order
 *     ENV        [("NAME","VALUE"),…]                              by name
 *
 * No spaces; sorted by bytes; in strings `"`, `\`, line feed, carriage return and tab are escaped by a backslash, all
 * else stands as it is. The reader takes `\x` as x for any other x, and refuses what is not sorted or there twice.
 * Source: Nix manual, "Derivation ATerm format"; Nix libstore/derivations.cc; Guix (guix derivations).
 */
import { Buffer } from "node:buffer";
import { AtermReader } from "./aterm-reader.ts";
import { bytes as bytesOf, compareText, findText, plainBytes } from "./bytes.ts";
import type { Derivation } from "./derivation.ts";
import { validateDerivation } from "./derivation-validity.ts";
import { DerivationError } from "./errors.ts";
import { type Output, parseOutputFields, printOutputFields } from "./output.ts";
import { parseFullStorePath, printStorePath, type StoreDirectory, type StorePath } from "./store-path.ts";

/**
 * Reads the bytes of NAME.drv; `name` is without ".drv". Whether its output paths are right is for `checkOutputs`.
 * Throws ATERM_INVALID, DERIVATION_VERSION_UNSUPPORTED, and what `parseOutputFields` and `validateDerivation` throw.
 */
export function parseDerivation(directory: StoreDirectory, name: string, bytes: Uint8Array): Derivation {
  const reader = new AtermReader(name, bytes);
  const path = () => parseFullStorePath(directory, readText(reader));
  const pathText = (entry: readonly [StorePath, ...unknown[]]) => entry[0];

  if (reader.startsWith("DrvWithVersion(")) {
    reader.expect("DrvWithVersion(");
    const version = readText(reader);
    throw new DerivationError("DERIVATION_VERSION_UNSUPPORTED", { name, offset: 0, version });
  }
  reader.expect("Derive(");
  const outputs = readSorted(
    reader,
    (entry) => entry[0],
    () => {
      reader.expect("(");
      const id = readText(reader);
      reader.expect(",");
      const outputPath = readText(reader);
      reader.expect(",");
      const methodAndAlgorithm = readText(reader);
      reader.expect(",");
      const hash = readText(reader);
      reader.expect(")");
      return [id, parseOutputFields(directory, name, id, { path: outputPath, methodAndAlgorithm, hash })] as const;
    },
  );
  reader.expect(",");
  const inputDerivations = readSorted(reader, pathText, () => {
    reader.expect("(");
    const input = path();
    reader.expect(",");
    const ids = readSorted(
      reader,
      (id) => id,
      () => readText(reader),
    );
    reader.expect(")");
    return [input, new Set(ids)] as const;
  });
  reader.expect(",");
  const inputSources = readSorted(reader, (source) => source, path);
  reader.expect(",");
  const system = readText(reader);
  reader.expect(",");
  const builder = reader.readString();
  reader.expect(",");
  const args = reader.readList(() => reader.readString());
  reader.expect(",");
  const environment = readSorted(
    reader,
    (entry) => entry[0],
    () => {
      reader.expect("(");
      const variable = readText(reader);
      reader.expect(",");
      const value = reader.readString();
      reader.expect(")");
      return [variable, value] as const;
    },
  );
  reader.expect(")");
  reader.expectEnd();

  const derivation: Derivation = {
    name,
    outputs: new Map(outputs),
    inputDerivations: new Map(inputDerivations),
    inputSources: new Set(inputSources),
    system,
    builder,
    args,
    environment: new Map(environment),
  };
  validateDerivation(derivation);
  return derivation;
}

/** The bytes of the derivation's .drv file. */
export function printDerivation(directory: StoreDirectory, derivation: Derivation): Uint8Array {
  const inputs = new Map<string, ReadonlySet<string>>();
  for (const [path, ids] of derivation.inputDerivations) inputs.set(printStorePath(directory, path), ids);
  return printDerivationWith(directory, derivation, inputs, { maskOutputs: false });
}

/**
 * The text that is hashed: `inputs` are printed in place of the paths of the input derivations; masked, the outputs'
 * paths and their environment variables are "".
 */
export function printDerivationWith(
  directory: StoreDirectory,
  derivation: Derivation,
  inputs: ReadonlyMap<string, ReadonlySet<string>>,
  options: { readonly maskOutputs: boolean },
): Uint8Array {
  const { maskOutputs } = options;
  const writer = new AtermWriter();
  writer.raw("Derive(");
  writer.list(sortedEntries(derivation.outputs), ([id, output]) =>
    writeOutput(writer, directory, derivation.name, id, output, maskOutputs),
  );
  writer.raw(",");
  writer.list(sortedEntries(inputs), ([input, ids]) => {
    writer.raw("(");
    writer.text(input);
    writer.raw(",");
    writer.list([...ids].sort(compareText), (id) => writer.text(id));
    writer.raw(")");
  });
  writer.raw(",");
  writer.list([...derivation.inputSources].sort(), (path) => writer.text(printStorePath(directory, path)));
  writer.raw(",");
  writer.text(derivation.system);
  writer.raw(",");
  writer.string(derivation.builder);
  writer.raw(",");
  writer.list(derivation.args, (argument) => writer.string(argument));
  writer.raw(",");
  writer.list(sortedEntries(derivation.environment), ([name, value]) => {
    writer.raw("(");
    writer.text(name);
    writer.raw(",");
    writer.string(maskOutputs && derivation.outputs.has(name) ? nothing : value);
    writer.raw(")");
  });
  writer.raw(")");
  return writer.finish();
}

const nothing = new Uint8Array(0);

function readText(reader: AtermReader): string {
  const start = reader.offset;
  const ascii = reader.findPlainAscii(); // nearly all names and paths; it saves a copy of the bytes
  if (ascii !== undefined) return ascii;
  const found = findText(reader.readString());
  if (found === undefined) throw reader.refuse(start, "UTF-8 text");
  return found;
}

function readSorted<Entry>(reader: AtermReader, keyOf: (entry: Entry) => string, read: () => Entry): Entry[] {
  let previous: string | undefined;
  return reader.readList(() => {
    const start = reader.offset;
    const entry = read();
    const key = keyOf(entry);
    if (previous !== undefined && compareText(previous, key) >= 0)
      throw reader.refuse(start, `something that sorts after ${JSON.stringify(previous)}`);
    previous = key;
    return entry;
  });
}

function writeOutput(
  writer: AtermWriter,
  directory: StoreDirectory,
  name: string,
  id: string,
  output: Output,
  maskOutputs: boolean,
): void {
  const fields = printOutputFields(directory, name, id, output);
  writer.raw("(");
  writer.text(id);
  writer.raw(",");
  writer.text(maskOutputs ? "" : fields.path);
  writer.raw(",");
  writer.text(fields.methodAndAlgorithm);
  writer.raw(",");
  writer.text(fields.hash);
  writer.raw(")");
}

function sortedEntries<Value>(map: ReadonlyMap<string, Value>): (readonly [string, Value])[] {
  return [...map].sort((left, right) => compareText(left[0], right[0]));
}

/** Writes into one buffer that doubles when it is full. */
class AtermWriter {
  #buffer = Buffer.allocUnsafe(4096);
  #length = 0;

  /** Text of the grammar: ASCII, written as it is. */
  raw(text: string): void {
    this.#reserve(text.length);
    this.#length += this.#buffer.write(text, this.#length, "latin1");
  }

  list<Item>(items: readonly Item[], write: (item: Item) => void): void {
    this.raw("[");
    let isFirst = true;
    for (const item of items) {
      if (!isFirst) this.raw(",");
      isFirst = false;
      write(item);
    }
    this.raw("]");
  }

  text(value: string): void {
    if (!plainAscii.test(value)) {
      this.string(bytesOf(value));
      return;
    }
    this.#reserve(value.length + 2);
    this.#buffer[this.#length] = quote;
    this.#buffer.write(value, this.#length + 1, "latin1");
    this.#length += value.length + 2;
    this.#buffer[this.#length - 1] = quote;
  }

  string(value: Uint8Array): void {
    this.#reserve(value.length * 2 + 2);
    const buffer = this.#buffer;
    let length = this.#length;
    buffer[length++] = quote;
    for (let index = 0; index < value.length; ++index) {
      const byte = value[index] as number;
      const escape = escapes[byte] as number;
      if (escape !== 0) {
        buffer[length++] = backslash;
        buffer[length++] = escape;
      } else buffer[length++] = byte;
    }
    buffer[length++] = quote;
    this.#length = length;
  }

  finish(): Uint8Array {
    return plainBytes(this.#buffer.subarray(0, this.#length));
  }

  #reserve(byteCount: number): void {
    const needed = this.#length + byteCount;
    if (needed <= this.#buffer.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    bigger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = bigger;
  }
}

const quote = 0x22;
const backslash = 0x5c;
// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII but what is escaped (of controls: \t \n \r).
const plainAscii = /^[\0-\x08\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]*$/;

/** By byte: the letter that stands for it after a backslash, or 0 if it stands for itself. */
const escapes = new Uint8Array(256);
escapes[quote] = quote;
escapes[backslash] = backslash;
escapes[0x0a] = 0x6e; // \n
escapes[0x0d] = 0x72; // \r
escapes[0x09] = 0x74; // \t
