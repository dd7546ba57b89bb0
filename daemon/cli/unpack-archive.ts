/**
 * Unpacks an archive that a builder filled, as the user who runs this command: into a directory that is made for it and
 * that nobody else may enter, with plain modes, never through a link. An archive has no owners and no set-id bits.
 */
import { Buffer } from "node:buffer";
import { constants } from "node:fs";
import { chmod, type FileHandle, mkdir, mkdtemp, open, rm, symlink } from "node:fs/promises";
import { NarDecoder } from "../../derivations/nar/decoder.ts";
import type { NarEvent } from "../../derivations/nar/grammar.ts";
import type { ByteStream } from "../api/service.ts";

/** Unpacks into a new directory whose name begins with `prefix`, and gives its path; what fails leaves none. Throws the NAR_ codes, and as node:fs. */
export async function unpackArchive(archive: ByteStream, prefix: string): Promise<string> {
  const top = await mkdtemp(prefix); // 0700: until the end nobody else can put a link in our way
  const unpacker = new Unpacker(Buffer.from(`${top}/build`));
  const decoder = new NarDecoder();
  try {
    for await (const chunk of archive) for (const event of decoder.push(chunk)) await unpacker.take(event);
    decoder.end();
    await unpacker.end();
  } catch (error) {
    await unpacker.end();
    await rm(top, { recursive: true, force: true }); // half of it would only mislead
    throw error;
  }
  return `${top}/build`;
}

/** Every name is new where it is made: an archive has each name once, and the directory was empty. */
class Unpacker {
  readonly #directories: Buffer[] = [];
  #path: Buffer;
  #file: FileHandle | undefined;
  #executable = false;

  constructor(top: Buffer) {
    this.#path = top;
  }

  async take(event: NarEvent): Promise<void> {
    if (event.kind === "contents") {
      await this.#file?.writeFile(event.bytes); // from where the last piece ended
      return;
    }
    await this.end();
    switch (event.kind) {
      case "file": {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
        this.#file = await open(this.#path, flags, 0o600);
        this.#executable = event.executable;
        break;
      }
      case "symlink":
        await symlink(Buffer.from(event.target), this.#path);
        break;
      case "directory":
        await mkdir(this.#path, 0o700);
        await chmod(this.#path, 0o755);
        this.#directories.push(this.#path);
        break;
      case "entry": {
        const directory = this.#directories.at(-1);
        if (directory === undefined) throw new Error("the archive has an entry outside of a directory");
        this.#path = Buffer.concat([directory, Buffer.from("/"), event.name]);
        break;
      }
      case "end":
        this.#directories.pop();
        break;
      default:
        event satisfies never;
    }
  }

  async end(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      await file.chmod(this.#executable ? 0o755 : 0o644);
    } finally {
      await file.close();
    }
  }
}
