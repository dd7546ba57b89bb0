/** An archive (NAR) made from files where they lie, in pieces that are worth a message. */
import { closeSync, constants, openSync, type PathLike, readSync } from "node:fs";
import { NarEncoder } from "../../derivations/nar/encoder.ts";
import type { NarEvent } from "../../derivations/nar/grammar.ts";

const pieceBytes = 256 * 1024;

/** Gives pieces of about 256 KiB, none empty; lets other work of this process go on between them. */
export async function* streamArchive(
  events: Iterable<NarEvent>,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const encoder = new NarEncoder();
  let small: Uint8Array[] = [];
  let smallBytes = 0;
  for (const event of events) {
    for (const chunk of encoder.push(event)) {
      small.push(chunk);
      smallBytes += chunk.length;
      if (smallBytes < pieceBytes) continue;
      options.signal?.throwIfAborted();
      yield Buffer.concat(small, smallBytes);
      small = [];
      smallBytes = 0;
      await new Promise(setImmediate);
    }
  }
  encoder.end();
  if (smallBytes > 0) yield Buffer.concat(small, smallBytes);
}

/**
 * The contents of a regular file that had `size` bytes when it was looked at. Throws what `changed` makes if it has not
 * any more, what `unreadable` makes if it cannot be read.
 */
export function* readContents(
  path: PathLike,
  size: number,
  failures: { readonly changed: () => Error; readonly unreadable: (cause: unknown) => Error },
): Generator<NarEvent, void, undefined> {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    throw failures.unreadable(error);
  }
  try {
    for (let offset = 0; offset < size; ) {
      const bytes = Buffer.allocUnsafeSlow(Math.min(pieceBytes, size - offset));
      const count = readSync(fd, bytes, 0, bytes.length, offset);
      if (count === 0) throw failures.changed();
      yield { kind: "contents", bytes: bytes.subarray(0, count) };
      offset += count;
    }
    if (readSync(fd, Buffer.alloc(1), 0, 1, size) !== 0) throw failures.changed();
  } finally {
    closeSync(fd);
  }
}
