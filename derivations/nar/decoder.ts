/**
 * NAR bytes to events. The grammar is a generator that asks for tokens; the class below feeds it from chunks of any size,
 * so socket, file and test drive the same code. Memory is bounded by the longest token, not by files or chunks.
 */
import { Buffer } from "node:buffer";
import { compareBytes, plainBytes, text } from "../bytes.ts";
import { DerivationError } from "../errors.ts";
import { decodeU64, isZero, paddingOf } from "../wire.ts";
import { findNameFault, findTargetFault, type NarEvent, narLimits, narMagic } from "./grammar.ts";

/**
 * Feed the archive by `push`, then call `end`. Once it has thrown it must not be used again.
 *
 * Throws NAR_TRUNCATED, NAR_TRAILING_BYTES, NAR_TOKEN_UNEXPECTED, NAR_PADDING_NONZERO, NAR_NAME_INVALID, NAR_NAME_ORDER,
 * NAR_TARGET_INVALID, NAR_TOO_DEEP, NAR_LENGTH_TOO_BIG; `offset` is that of the length of the token in question, or of
 * the padding.
 */
export class NarDecoder {
  readonly #grammar = readArchive();
  #request: Request;
  /** What was received and not used yet; `#start` is the archive's offset of its first byte. */
  #pending: Uint8Array = noBytes;
  #start = 0;
  /** Of the contents that are being passed on: bytes to go, padding not counted. */
  #contentsLeft = 0n;
  #events: NarEvent[] = [];
  #isComplete = false;

  constructor() {
    this.#request = this.#grammar.next().value as Request;
  }

  /** True once the archive's last byte was read. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The events that are complete with this chunk; contents are views into it. */
  push(chunk: Uint8Array): NarEvent[] {
    const pending = plainBytes(this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]));
    let position = 0;
    while (!this.#isComplete) {
      const used = this.#serve(pending, position);
      if (used === undefined) break;
      position += used;
    }
    this.#start += position;
    this.#pending = position === pending.length ? noBytes : pending.subarray(position);
    if (this.#isComplete && this.#pending.length > 0)
      throw new DerivationError("NAR_TRAILING_BYTES", { offset: this.#start });
    if (this.#pending.length > 0) this.#pending = Uint8Array.from(this.#pending); // the caller may reuse the chunk
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Says that nothing more will come. */
  end(): void {
    if (this.#isComplete) return;
    throw new DerivationError("NAR_TRUNCATED", {
      offset: this.#start + this.#pending.length,
      expected: this.#request.what,
    });
  }

  /** Serves the grammar's request from `bytes` at `position`: the number of bytes used, or undefined if more are needed. */
  #serve(bytes: Uint8Array, position: number): number | undefined {
    const available = bytes.length - position;
    const request = this.#request;
    if (request.kind === "contents") return this.#passOn(request.size, bytes, position, available);

    if (available < 8) return undefined;
    const offset = this.#start + position;
    const length = decodeU64(bytes, position);
    if (request.kind === "length") {
      this.#answer({ offset, bytes: noBytes, length });
      return 8;
    }
    if (length > BigInt(request.limit)) throw request.tooLong(offset, length);

    const end = position + 8 + Number(length);
    const next = end + paddingOf(Number(length));
    if (next > bytes.length) return undefined;
    if (!isZero(bytes, end, next))
      throw new DerivationError("NAR_PADDING_NONZERO", { offset: offset + end - position });
    this.#answer({ offset, bytes: bytes.subarray(position + 8, end), length });
    return next - position;
  }

  #passOn(size: bigint, bytes: Uint8Array, position: number, available: number): number | undefined {
    if (this.#contentsLeft > 0n) {
      if (available === 0) return undefined;
      const count = this.#contentsLeft < BigInt(available) ? Number(this.#contentsLeft) : available;
      this.#events.push({ kind: "contents", bytes: bytes.subarray(position, position + count) });
      this.#contentsLeft -= BigInt(count);
      return count;
    }
    const padding = paddingOf(size);
    if (available < padding) return undefined;
    if (!isZero(bytes, position, position + padding))
      throw new DerivationError("NAR_PADDING_NONZERO", { offset: this.#start + position });
    this.#answer({ offset: this.#start + position, bytes: noBytes, length: size });
    return padding;
  }

  #answer(token: Token): void {
    for (let step = this.#grammar.next(token); ; step = this.#grammar.next(token)) {
      if (step.done) {
        this.#isComplete = true;
        return;
      }
      if (step.value.kind !== "event") {
        this.#request = step.value;
        if (step.value.kind === "contents") this.#contentsLeft = step.value.size;
        return;
      }
      this.#events.push(step.value.event);
    }
  }
}

/** Decodes a whole archive. Throws as `NarDecoder`. */
export function decodeNar(chunks: Iterable<Uint8Array>): NarEvent[] {
  const decoder = new NarDecoder();
  const events: NarEvent[] = [];
  for (const chunk of chunks) for (const event of decoder.push(chunk)) events.push(event);
  decoder.end();
  return events;
}

/** A token as it was read; `offset` is that of its length. */
interface Token {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly length: bigint;
}

type Request =
  | {
      readonly kind: "string";
      readonly what: string;
      readonly limit: number;
      readonly tooLong: (offset: number, length: bigint) => Error;
    }
  | { readonly kind: "length"; readonly what: string }
  | { readonly kind: "contents"; readonly what: string; readonly size: bigint };

type Step = Request | { readonly kind: "event"; readonly event: NarEvent };
type Grammar<Result> = Generator<Step, Result, Token>;

const noBytes = new Uint8Array(0);

/** An archive, node by node; `previousNames` is the stack of open directories with the last name of each. */
function* readArchive(): Grammar<void> {
  const previousNames: Uint8Array[] = [];
  yield* expectWord(narMagic);
  for (;;) {
    const isDirectory = yield* readNodeStart(previousNames.length);
    if (isDirectory) previousNames.push(noBytes);
    else yield* expectWord(")");

    // After a node: ends of directories, each the end of an entry of the one above, until there is an entry to go on with.
    let isFirst = isDirectory;
    for (;;) {
      if (previousNames.length === 0) return;
      if (!isFirst) yield* expectWord(")"); // of the entry
      isFirst = false;
      if ((yield* expectOneOf(["entry", ")"])) === "entry") break;
      previousNames.pop();
      yield { kind: "event", event: { kind: "end" } };
    }
    const depth = previousNames.length;
    previousNames[depth - 1] = yield* readEntryStart(previousNames[depth - 1] as Uint8Array);
  }
}

/** From "(" to the end of what the node has of its own: all but the ")" of a file or link, or up to a directory's entries. */
function* readNodeStart(depth: number): Grammar<boolean> {
  const start = yield* expectToken("(");
  if (depth >= narLimits.levels)
    throw new DerivationError("NAR_TOO_DEEP", { offset: start.offset, limit: narLimits.levels });
  yield* expectWord("type");
  switch (yield* expectOneOf(["regular", "symlink", "directory"])) {
    case "regular":
      yield* readFile();
      return false;
    case "symlink": {
      yield* expectWord("target");
      const token = yield targetRequest;
      const reason = findTargetFault(token.bytes);
      if (reason !== undefined) throw new DerivationError("NAR_TARGET_INVALID", { offset: token.offset, reason });
      yield { kind: "event", event: { kind: "symlink", target: Uint8Array.from(token.bytes) } };
      return false;
    }
    default:
      yield { kind: "event", event: { kind: "directory" } };
      return true;
  }
}

function* readFile(): Grammar<void> {
  const word = yield* expectOneOf(["executable", "contents"]);
  if (word === "executable") {
    yield* expectWord("");
    yield* expectWord("contents");
  }
  const { offset, length: size } = yield { kind: "length", what: "the size of a file" };
  if (size > narLimits.fileBytes) throw new DerivationError("NAR_LENGTH_TOO_BIG", { offset, length: size });
  yield { kind: "event", event: { kind: "file", executable: word === "executable", size, offset: offset + 8 } };
  yield { kind: "contents", what: "the contents of a file", size };
}

function* readEntryStart(previous: Uint8Array): Grammar<Uint8Array> {
  yield* expectWord("(");
  yield* expectWord("name");
  const token = yield nameRequest;
  const name = Uint8Array.from(token.bytes);
  const { offset } = token;
  const fault = findNameFault(name);
  if (fault !== undefined) throw new DerivationError("NAR_NAME_INVALID", { offset, reason: fault });
  const order = compareBytes(previous, name);
  if (order >= 0)
    throw new DerivationError("NAR_NAME_ORDER", {
      offset,
      name: text(name),
      reason: order === 0 ? "duplicate" : "unsorted",
    });
  yield { kind: "event", event: { kind: "entry", name } };
  yield* expectWord("node");
  return name;
}

function* expectWord(word: string): Grammar<void> {
  yield* expectToken(word);
}

function* expectToken(word: string): Grammar<Token> {
  const expected = `the word "${word}"`;
  const token = yield wordRequest(expected);
  if (!isWord(token.bytes, word)) throw unexpectedToken(token, expected);
  return token;
}

function* expectOneOf<const Word extends string>(words: readonly Word[]): Grammar<Word> {
  const expected = `one of the words ${words.map((word) => `"${word}"`).join(", ")}`;
  const token = yield wordRequest(expected);
  const word = words.find((candidate) => isWord(token.bytes, candidate));
  if (word === undefined) throw unexpectedToken(token, expected);
  return word;
}

/** No word of the grammar is longer, so nothing longer is waited for. */
const longestWord = narMagic.length;

function wordRequest(what: string): Request {
  return {
    kind: "string",
    what,
    limit: longestWord,
    tooLong: (offset, length) =>
      new DerivationError("NAR_TOKEN_UNEXPECTED", { offset, expected: what, found: `a string of ${length} bytes` }),
  };
}

const nameRequest: Request = {
  kind: "string",
  what: "a file name",
  limit: narLimits.nameBytes,
  tooLong: (offset) => new DerivationError("NAR_NAME_INVALID", { offset, reason: "too-long" }),
};

const targetRequest: Request = {
  kind: "string",
  what: "the target of a symbolic link",
  limit: narLimits.targetBytes,
  tooLong: (offset) => new DerivationError("NAR_TARGET_INVALID", { offset, reason: "too-long" }),
};

function unexpectedToken(token: Token, expected: string) {
  return new DerivationError("NAR_TOKEN_UNEXPECTED", {
    offset: token.offset,
    expected,
    found: JSON.stringify(text(token.bytes)),
  });
}

function isWord(bytes: Uint8Array, word: string): boolean {
  if (bytes.length !== word.length) return false;
  for (let index = 0; index < word.length; ++index) if (bytes[index] !== word.charCodeAt(index)) return false;
  return true;
}
