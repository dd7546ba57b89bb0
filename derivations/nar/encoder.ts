/** Events to NAR bytes. What it writes is an archive that the decoder takes: anything else is refused with the same codes. */
import { compareBytes, text } from "../bytes.ts";
import { DerivationError } from "../errors.ts";
import { encodeString, encodeU64, paddingOf } from "../wire.ts";
import { findNameFault, findTargetFault, type NarEvent, narLimits, narMagic } from "./grammar.ts";

/** Encodes a whole archive; the chunks are small ones and the contents as they came. Throws as `NarEncoder`. */
export function* encodeNar(events: Iterable<NarEvent>): Generator<Uint8Array, void, undefined> {
  const encoder = new NarEncoder();
  for (const event of events) yield* encoder.push(event);
  encoder.end();
}

/**
 * Give it the events by `push`, then call `end`. Throws NAR_NAME_INVALID, NAR_NAME_ORDER, NAR_TARGET_INVALID,
 * NAR_TOO_DEEP, NAR_LENGTH_TOO_BIG, and NAR_EVENT_UNEXPECTED for events that are no archive.
 */
export class NarEncoder {
  /** The open directories: the last name in each. */
  readonly #previousNames: Uint8Array[] = [];
  #expected: "node" | "entry" | "contents" | "nothing" = "node";
  #contentsLeft = 0n;
  #padding = 0;
  #offset = 0;

  push(event: NarEvent): Uint8Array[] {
    const chunks = this.#encode(event).filter((chunk) => chunk.length > 0);
    for (const chunk of chunks) this.#offset += chunk.length;
    return chunks;
  }

  end(): void {
    if (this.#expected !== "nothing") throw this.#refuse("the end");
  }

  #encode(event: NarEvent): Uint8Array[] {
    switch (event.kind) {
      case "directory":
        this.#expect("node", event);
        return this.#directory();
      case "entry":
        this.#expect("entry", event);
        return this.#entry(event.name);
      case "end":
        this.#expect("entry", event);
        this.#previousNames.pop();
        return [tokens.close, this.#closeNode()];
      case "symlink":
        this.#expect("node", event);
        return this.#symlink(event.target);
      case "file":
        this.#expect("node", event);
        return this.#file(event.executable, event.size);
      case "contents":
        this.#expect("contents", event);
        return this.#contents(event.bytes);
      default:
        return event satisfies never;
    }
  }

  /** The tokens up to a node's own; the first one has the magic before it. */
  #open(own: Uint8Array): Uint8Array {
    if (this.#previousNames.length >= narLimits.levels)
      throw new DerivationError("NAR_TOO_DEEP", { offset: this.#offset, limit: narLimits.levels });
    return this.#offset === 0 ? join(tokens.magic, own) : own;
  }

  #directory(): Uint8Array[] {
    const head = this.#open(tokens.directory);
    this.#previousNames.push(noBytes); // less than any name
    this.#expected = "entry";
    return [head];
  }

  #entry(name: Uint8Array): Uint8Array[] {
    const offset = this.#offset;
    const fault = findNameFault(name);
    if (fault !== undefined) throw new DerivationError("NAR_NAME_INVALID", { offset, reason: fault });
    const depth = this.#previousNames.length;
    const order = compareBytes(this.#previousNames[depth - 1] as Uint8Array, name);
    if (order >= 0)
      throw new DerivationError("NAR_NAME_ORDER", {
        offset,
        name: text(name),
        reason: order === 0 ? "duplicate" : "unsorted",
      });
    this.#previousNames[depth - 1] = Uint8Array.from(name);
    this.#expected = "node";
    return [join(tokens.entry, encodeString(name), tokens.node)];
  }

  #symlink(target: Uint8Array): Uint8Array[] {
    const reason = findTargetFault(target);
    if (reason !== undefined) throw new DerivationError("NAR_TARGET_INVALID", { offset: this.#offset, reason });
    return [this.#open(tokens.symlink), encodeString(target), tokens.close, this.#closeNode()];
  }

  #file(executable: boolean, size: bigint): Uint8Array[] {
    if (size < 0n || size > narLimits.fileBytes)
      throw new DerivationError("NAR_LENGTH_TOO_BIG", { offset: this.#offset, length: size });
    const head = join(this.#open(executable ? tokens.executable : tokens.regular), encodeU64(size));
    this.#contentsLeft = size;
    this.#padding = paddingOf(size);
    this.#expected = "contents";
    return size === 0n ? [head, ...this.#closeFile()] : [head];
  }

  #contents(bytes: Uint8Array): Uint8Array[] {
    if (BigInt(bytes.length) > this.#contentsLeft) throw this.#refuse(`${bytes.length} bytes of contents`);
    this.#contentsLeft -= BigInt(bytes.length);
    return this.#contentsLeft === 0n ? [bytes, ...this.#closeFile()] : [bytes];
  }

  #closeFile(): Uint8Array[] {
    return [join(new Uint8Array(this.#padding), tokens.close), this.#closeNode()];
  }

  /** After a node: the end of the entry it is in, or of the archive. */
  #closeNode(): Uint8Array {
    const isRoot = this.#previousNames.length === 0;
    this.#expected = isRoot ? "nothing" : "entry";
    return isRoot ? noBytes : tokens.close;
  }

  #expect(expected: "node" | "entry" | "contents", event: NarEvent): void {
    if (this.#expected !== expected) throw this.#refuse(`the event ${event.kind}`);
  }

  #refuse(found: string) {
    const expected =
      this.#expected === "contents" ? `${this.#contentsLeft} bytes of contents` : expectations[this.#expected];
    return new DerivationError("NAR_EVENT_UNEXPECTED", { offset: this.#offset, expected, found });
  }
}

const noBytes = new Uint8Array(0);

const expectations = {
  node: "a file, a directory or a symbolic link",
  entry: "an entry or the end of the directory",
  nothing: "the end",
};

const tokens = {
  magic: encodeString(narMagic),
  regular: words("(", "type", "regular", "contents"),
  executable: words("(", "type", "regular", "executable", "", "contents"),
  symlink: words("(", "type", "symlink", "target"),
  directory: words("(", "type", "directory"),
  entry: words("entry", "(", "name"),
  node: words("node"),
  close: words(")"),
};

function words(...texts: readonly string[]): Uint8Array {
  return join(...texts.map(encodeString));
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
