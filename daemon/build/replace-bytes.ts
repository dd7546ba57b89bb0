/** Texts replaced by others inside bytes that need not be UTF-8: placeholders by the paths that they stand for. */
import { Buffer } from "node:buffer";

/** What is to be replaced, as bytes, made once and used for each value. */
export type Replacements = readonly { readonly from: Buffer; readonly to: Buffer }[];

export function makeReplacements(pairs: Iterable<readonly [from: string, to: string]>): Replacements {
  return Array.from(pairs, ([from, to]) => ({ from: Buffer.from(from), to: Buffer.from(to) }));
}

/** The value itself where nothing of it is replaced. */
export function replaceBytes(value: Uint8Array, replacements: Replacements): Uint8Array {
  let current = value;
  for (const { from, to } of replacements) {
    if (current.length < from.length) continue;
    const view = Buffer.from(current.buffer, current.byteOffset, current.byteLength);
    let found = view.indexOf(from);
    if (found < 0) continue;
    const pieces: Uint8Array[] = [];
    let start = 0;
    for (; found >= 0; found = view.indexOf(from, start)) {
      pieces.push(view.subarray(start, found), to);
      start = found + from.length;
    }
    pieces.push(view.subarray(start));
    current = Buffer.concat(pieces);
  }
  return current;
}

/** The same for a text. */
export function replaceText(value: string, replacements: Replacements): string {
  let current = value;
  for (const { from, to } of replacements) current = current.replaceAll(from.toString(), to.toString());
  return current;
}
