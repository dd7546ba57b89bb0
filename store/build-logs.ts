/**
 * The logs of builds: the builder's bytes as they came. Below the log directory, `builds/<first two characters of the
 * record's id>/<the rest>.log`: a plain file while the build runs, `.log.zst` soon afterwards.
 */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  writeSync,
} from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createZstdCompress, createZstdDecompress } from "node:zlib";
import { errnoNameOf, nameDiskFull } from "./errors.ts";
import { LogSize } from "./log-size.ts";

/** Never throws: a log that cannot be written must not end its build. */
export interface LogWriter {
  /** Relative to the log directory; `.zst` is added to it when the log is compressed. */
  readonly file: string;
  /** In bytes. */
  readonly size: number;
  /** Why the log is not whole, if it is not; the build goes on. */
  readonly failure: unknown;
  write(bytes: Uint8Array): void;
  close(): void;
}

export interface BuildLogsOptions {
  /** What is written is in the file after this many milliseconds at the latest. */
  readonly flushMs?: number;
  readonly onFailed: (error: unknown) => void;
}

/** How long who follows a log waits for what has been written, in milliseconds. */
const followMs = 30;

/** What stands at the end of a log whose daemon did not live to end it. */
export const cutOffMarker = "\n[cloister: the log ends here, because its daemon did]\n";

export class BuildLogs implements AsyncDisposable {
  readonly #directory: string;
  readonly #flushMs: number;
  readonly #onFailed: (error: unknown) => void;
  /** Of all of them, on disk. */
  readonly size: LogSize;
  readonly #open = new Map<string, OpenLog>();
  #compressing: Promise<void> = Promise.resolve();
  /** Of what a dead owner left. */
  #marking: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(logDirectory: string, options: BuildLogsOptions) {
    this.#directory = logDirectory;
    this.#flushMs = options.flushMs ?? 1000;
    this.#onFailed = options.onFailed;
    this.size = new LogSize(join(logDirectory, "builds"));
  }

  /** The id is a name of ours: letters, digits and dashes, at least three. */
  openLog(recordId: string): LogWriter {
    const file = fileOf(recordId);
    const log = new OpenLog(file, join(this.#directory, file), this.#flushMs, () => {
      this.#open.delete(recordId);
      if (log.failure !== undefined) this.#onFailed(log.failure);
      if (log.size === 0) return;
      this.size.note({ files: 1, bytes: log.size });
      this.#compressLater(join(this.#directory, file));
    });
    this.#open.set(recordId, log);
    return log;
  }

  /** The log so far; with `follow`, until it ends. A build that wrote nothing has an empty log. */
  async *readLog(
    recordId: string,
    options: { readonly follow?: boolean; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Uint8Array> {
    const { signal } = options;
    await this.#marking;
    const log = this.#open.get(recordId);
    if (log !== undefined) return yield* followLog(log, options.follow === true, signal);
    const path = join(this.#directory, fileOf(recordId));
    for (const attempt of [1, 2]) {
      const plain = await openIfThere(path);
      if (plain !== undefined) return yield* createReadStream(path, { fd: plain, ...(signal && { signal }) });
      const compressed = await openIfThere(`${path}.zst`);
      if (compressed !== undefined) {
        const stream = createReadStream(`${path}.zst`, { fd: compressed, ...(signal && { signal }) });
        const plainBytes = createZstdDecompress();
        pipeline(stream, plainBytes).catch((error: unknown) => plainBytes.destroy(error as Error)); // to who reads
        return yield* plainBytes as AsyncIterable<Uint8Array>;
      }
      if (attempt === 2) return; // it was renamed between our two looks at most once
    }
  }

  /** Of a build's log, relative to the log directory: as it was named when it was written. Undefined if there is none. */
  findFile(recordId: string): string | undefined {
    const file = fileOf(recordId);
    const path = join(this.#directory, file);
    return existsSync(path) || existsSync(`${path}.zst`) ? file : undefined;
  }

  /**
   * After a start: compresses what a dead owner left, and marks the logs of builds that did not end: what they wrote last
   * may lack. Reading waits for the marks.
   */
  adopt(isCut: (recordId: string) => boolean): void {
    const marks: Promise<void>[] = [];
    const builds = join(this.#directory, "builds");
    for (const prefix of readNames(builds))
      for (const name of readNames(join(builds, prefix))) {
        const path = join(builds, prefix, name);
        if (name.endsWith(".log")) {
          if (isCut(prefix + name.slice(0, -".log".length))) marks.push(this.#mark(path));
          this.#compressLater(path);
        } else if (name.endsWith(".tmp")) this.#compressing = this.#compressing.then(() => rm(path, { force: true }));
      }
    this.#marking = Promise.all(marks);
  }

  /** Resolves when all that is to be compressed now is. */
  async settle(): Promise<void> {
    await this.#compressing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const log of this.#open.values()) log.close();
    this.#isClosed = true; // what is not compressed yet is by the next owner
    await this.#compressing;
  }

  async #mark(path: string): Promise<void> {
    try {
      await appendTo(path, cutOffMarker);
    } catch (error) {
      this.#onFailed(nameDiskFull(error, path, "the mark at the end of a log"));
    }
  }

  /** One at a time, off everyone's path. */
  #compressLater(path: string): void {
    this.#compressing = this.#compressing.then(async () => {
      await this.#marking;
      if (this.#isClosed) return;
      try {
        this.size.note({ files: 0, bytes: await compress(path) });
      } catch (error) {
        this.#onFailed(nameDiskFull(error, path, "a compressed log")); // the plain one is kept
      }
    });
  }
}

class OpenLog implements LogWriter {
  readonly file: string;
  readonly path: string;
  readonly #flushMs: number;
  readonly #onClosed: () => void;
  #fd: number | undefined;
  #buffered: Uint8Array[] = [];
  #bufferedSize = 0;
  #timer: NodeJS.Timeout | undefined;
  #waiters: (() => void)[] = [];
  /** The timer is for who follows. */
  #isSoon = false;
  size = 0;
  /** Of `size`, what is in the file. */
  flushedSize = 0;
  isClosed = false;
  failure: unknown;

  constructor(file: string, path: string, flushMs: number, onClosed: () => void) {
    this.file = file;
    this.path = path;
    this.#flushMs = flushMs;
    this.#onClosed = onClosed;
  }

  write(bytes: Uint8Array): void {
    if (this.isClosed || this.failure !== undefined || bytes.length === 0) return;
    this.#buffered.push(bytes.slice()); // the caller may use its buffer again
    this.#bufferedSize += bytes.length;
    this.size += bytes.length;
    if (this.#bufferedSize >= 64 * 1024) this.flush();
    else this.#flushLater();
  }

  close(): void {
    if (this.isClosed) return;
    this.flush();
    this.isClosed = true;
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#wake();
    this.#onClosed();
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#bufferedSize === 0) return;
    try {
      this.#fd ??= this.#create();
      const bytes = Buffer.concat(this.#buffered);
      for (let written = 0; written < bytes.length; ) written += writeSync(this.#fd, bytes, written);
      this.flushedSize += bytes.length;
    } catch (error) {
      this.failure = nameDiskFull(error, this.path, "the build's log");
      this.size = this.flushedSize;
    }
    this.#buffered = [];
    this.#bufferedSize = 0;
    this.#wake();
  }

  /** Resolves at the next flush, the close, or an abort. While somebody waits, what is written is soon in the file. */
  whenChanged(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal?.removeEventListener("abort", wake); // of which a long log would leave thousands
        resolve();
      };
      this.#waiters.push(wake);
      if (this.#bufferedSize > 0) this.#flushLater();
      signal?.addEventListener("abort", wake, { once: true });
    });
  }

  #flushLater(): void {
    const isFollowed = this.#waiters.length > 0;
    if (this.#timer !== undefined && (!isFollowed || this.#isSoon)) return;
    clearTimeout(this.#timer);
    this.#isSoon = isFollowed;
    this.#timer = setTimeout(() => this.flush(), isFollowed ? Math.min(followMs, this.#flushMs) : this.#flushMs);
  }

  #create(): number {
    mkdirSync(dirname(this.path), { recursive: true });
    return openSync(this.path, "w", 0o644);
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

async function* followLog(log: OpenLog, follow: boolean, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  log.flush();
  while (log.flushedSize === 0) {
    signal?.throwIfAborted();
    if (!follow || log.isClosed) return;
    await log.whenChanged(signal);
  }
  const fd = openSync(log.path, "r"); // at once, before a compressed file can take its place
  try {
    for (let offset = 0; ; ) {
      signal?.throwIfAborted();
      const isLast = log.isClosed; // looked at before the size: what is written after this is not missed
      if (offset < log.flushedSize) {
        const piece = Buffer.alloc(Math.min(64 * 1024, log.flushedSize - offset));
        const count = readSync(fd, piece, 0, piece.length, offset);
        if (count === 0) return;
        offset += count;
        yield piece.subarray(0, count);
      } else if (!follow || isLast) {
        return;
      } else {
        await log.whenChanged(signal);
      }
    }
  } finally {
    closeSync(fd);
  }
}

async function openIfThere(path: string) {
  try {
    return await open(path, "r");
  } catch (error) {
    if (errnoNameOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Resolves to by how many bytes less it takes now, as a negative number. */
async function compress(path: string): Promise<number> {
  const temporary = `${path}.zst.tmp`;
  await pipeline(createReadStream(path), createZstdCompress(), createWriteStream(temporary, { flush: true }));
  const [before, after] = await Promise.all([stat(path), stat(temporary)]);
  await rename(temporary, `${path}.zst`);
  await rm(path);
  return after.size - before.size;
}

async function appendTo(path: string, text: string): Promise<void> {
  const { size } = await stat(path);
  const file = await open(path, "r+");
  try {
    const tail = Buffer.alloc(Math.min(size, Buffer.byteLength(text)));
    await file.read(tail, 0, tail.length, size - tail.length);
    if (tail.toString() !== text) await file.write(text, size); // an earlier start may have come so far
  } finally {
    await file.close();
  }
}

function fileOf(recordId: string): string {
  if (!/^[A-Za-z0-9-]{3,128}$/.test(recordId))
    throw new RangeError(`${JSON.stringify(recordId)} is no id of a build record`);
  return `builds/${recordId.slice(0, 2)}/${recordId.slice(2)}.log`;
}

function readNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoNameOf(error) === "ENOENT") return [];
    throw error;
  }
}
