/** Where in an archive another path's hash part stands: the very file and the byte. */
import { Buffer } from "node:buffer";
import { NarDecoder } from "../../derivations/nar/decoder.ts";
import type { NarEvent } from "../../derivations/nar/grammar.ts";
import { NarPlace } from "../../derivations/nar/nar-place.ts";
import { hashPartOf, type StorePath } from "../../derivations/store-path.ts";
import type { ByteStream } from "../api/service.ts";

export interface ReferencePlace {
  /** Below the path, such as "bin/hello"; "" for the path itself. Bytes that are no text are replaced. */
  readonly file: string;
  readonly kind: "contents" | "link";
  /** Of the hash part's first byte in the file or in the link's target. */
  readonly offset: number;
  /** What stands around it, up to 40 bytes before and 80 after; not cleaned. */
  readonly around: string;
}

export interface FoundReferences {
  /** The first ones, in the archive's order. */
  readonly places: readonly ReferencePlace[];
  /** How many there are in all. */
  readonly count: number;
}

/** Reads an archive to its end. `most`: how many places are kept. Throws NAR_* errors and what the stream throws. */
export async function findReferences(
  archive: ByteStream,
  reference: StorePath,
  most: number,
): Promise<FoundReferences> {
  const search = new Search(Buffer.from(hashPartOf(reference)), most);
  const decoder = new NarDecoder();
  for await (const chunk of archive) for (const event of decoder.push(chunk)) search.take(event);
  decoder.end();
  search.endFile();
  return { places: search.places, count: search.count };
}

const before = 40;
const after = 80;

class Search {
  readonly places: ReferencePlace[] = [];
  count = 0;
  readonly #needle: Buffer;
  readonly #most: number;
  readonly #place = new NarPlace();
  /** The end of what was seen of the file, kept for matches across pieces; `#start` is its first byte's offset. */
  #tail: Buffer = Buffer.alloc(0);
  #start = 0;
  /** Matches begin here at the earliest. */
  #from = 0;

  constructor(needle: Buffer, most: number) {
    this.#needle = needle;
    this.#most = most;
  }

  take(event: NarEvent): void {
    if (event.kind === "contents") {
      this.#look(Buffer.concat([this.#tail, event.bytes]), "contents", false);
      return;
    }
    this.endFile();
    if (event.kind === "symlink") {
      this.#look(Buffer.from(event.target), "link", true);
      this.#reset();
    }
    this.#place.take(event);
  }

  /** What was kept back of a file's end is looked at. */
  endFile(): void {
    if (this.#tail.length > 0) this.#look(this.#tail, "contents", true);
    this.#reset();
  }

  #reset(): void {
    this.#tail = Buffer.alloc(0);
    this.#start = 0;
    this.#from = 0;
  }

  /** Leaves what is too near to the end for a later look, unless nothing more comes. */
  #look(bytes: Buffer, kind: ReferencePlace["kind"], isLast: boolean): void {
    const reach = isLast ? bytes.length : bytes.length - this.#needle.length - after;
    for (let at = bytes.indexOf(this.#needle, this.#from - this.#start); at >= 0; ) {
      if (!isLast && at >= reach) break;
      this.count += 1;
      if (this.places.length < this.#most) {
        const around = bytes.subarray(Math.max(0, at - before), at + this.#needle.length + after).toString();
        this.places.push({ file: this.#place.path, kind, offset: this.#start + at, around });
      }
      this.#from = this.#start + at + this.#needle.length;
      at = bytes.indexOf(this.#needle, this.#from - this.#start);
    }
    const keepFrom = Math.max(0, reach - before);
    this.#from = Math.max(this.#from, this.#start + Math.max(0, reach));
    this.#start += keepFrom;
    this.#tail = Buffer.from(bytes.subarray(keepFrom)); // the chunk is the stream's
  }
}
