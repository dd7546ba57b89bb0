/** Hashes what an archive holds in the way its content address says, while the archive passes by. */
import { createHash, type Hash as NodeHash } from "node:crypto";
import type { ContentAddress } from "../derivations/content-address.ts";
import { type Hash, hashesEqual, printHash, type Sha256 } from "../derivations/hash.ts";
import { NarDecoder } from "../derivations/nar/decoder.ts";
import { StoreError } from "./errors.ts";

export class ContentCheck {
  readonly #address: ContentAddress;
  readonly #hash: NodeHash | undefined;
  readonly #decoder: NarDecoder | undefined;
  #isFlat = false;

  constructor(address: ContentAddress) {
    this.#address = address;
    const needsOnlyNarHash = address.method === "recursive" && address.hash.algorithm === "sha256";
    if (!needsOnlyNarHash) this.#hash = createHash(address.hash.algorithm);
    if (address.method !== "recursive") this.#decoder = new NarDecoder();
  }

  /** The same bytes; throws what `NarDecoder` throws where it has to look inside. */
  async *watch(archive: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    if (this.#hash === undefined) return yield* archive;
    for await (const chunk of archive) {
      if (this.#decoder === undefined) this.#hash.update(chunk);
      else
        for (const event of this.#decoder.push(chunk)) {
          if (event.kind === "file")
            this.#isFlat ||= !event.executable; // only the top can be the first event
          else if (event.kind === "contents") this.#hash.update(event.bytes);
          else this.#isFlat = false;
        }
      yield chunk;
    }
  }

  /** After the archive has passed. Throws STORE_CONTENT_HASH_MISMATCH, STORE_CONTENT_NOT_FLAT. */
  finish(name: string, narHash: Sha256): void {
    if (this.#decoder !== undefined && !this.#isFlat) throw new StoreError("STORE_CONTENT_NOT_FLAT", { name });
    const promised = this.#address.hash;
    const received: Hash =
      this.#hash === undefined ? narHash : { algorithm: promised.algorithm, bytes: this.#hash.digest() };
    if (hashesEqual(received, promised)) return;
    throw new StoreError("STORE_CONTENT_HASH_MISMATCH", {
      name,
      promised: printHash(promised, "sri"),
      received: printHash(received, "sri"),
    });
  }
}
