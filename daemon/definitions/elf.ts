/**
 * What an ELF file says about what it needs to run: interpreter, libraries, and where to look for them.
 * Source: System V Application Binary Interface (generic), "ELF Header", "Program Header", "Dynamic Section".
 */
import { closeSync, openSync, readSync } from "node:fs";
import { DefinitionError } from "./errors.ts";

export interface ElfFacts {
  /** Word size, byte order and machine: only files equal in these can be loaded together. */
  readonly kind: string;
  /** The dynamic loader, such as "/lib64/ld-linux-x86-64.so.2"; programs alone have one. */
  readonly interpreter?: string;
  /** File names, or paths where they hold a slash. */
  readonly needed: readonly string[];
  /** Directories as written, with $ORIGIN and the like; `rpath` counts only where there is no `runpath`. */
  readonly rpath: readonly string[];
  readonly runpath: readonly string[];
}

/** Reads an ELF file's facts, or gives undefined if the file is something else. Throws ELF_INVALID with the byte offset. */
export function readElf(path: string): ElfFacts | undefined {
  const fd = openSync(path, "r");
  try {
    return readElfFrom(path, fd);
  } finally {
    closeSync(fd);
  }
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
}

/** A reader of numbers in the file's own byte order and word size. */
interface Numbers {
  readonly is64: boolean;
  u16(bytes: Uint8Array, offset: number): number;
  u32(bytes: Uint8Array, offset: number): number;
  word(bytes: Uint8Array, offset: number): number;
}

const segmentType = { load: 1, dynamic: 2, interpreter: 3 } as const;
const tag = { end: 0, needed: 1, stringTable: 5, stringTableSize: 10, rpath: 15, runpath: 29 } as const;

/** No sound file has more; a damaged one must not make us read it whole. */
const limits = { segments: 1024, dynamicBytes: 1 << 20, stringBytes: 64 << 20, interpreterBytes: 4096 } as const;

function readElfFrom(path: string, fd: number): ElfFacts | undefined {
  const refuse = (offset: number, reason: string) => new DefinitionError("ELF_INVALID", { path, offset, reason });
  const read = (offset: number, length: number, what: string): Uint8Array => {
    if (!Number.isSafeInteger(offset + length)) throw refuse(0, `${what} lies outside any file`);
    const bytes = Buffer.alloc(length);
    if (readSync(fd, bytes, 0, length, offset) !== length) throw refuse(offset, `${what} lies outside the file`);
    return bytes;
  };

  const head = Buffer.alloc(64);
  const headLength = readSync(fd, head, 0, 64, 0);
  if (headLength < 4 || head.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const [elfClass, order] = [head[4], head[5]];
  if ((elfClass !== 1 && elfClass !== 2) || (order !== 1 && order !== 2))
    throw refuse(4, "its class or byte order is unknown");
  const numbers = makeNumbers(elfClass === 2, order === 1);
  if (headLength < (numbers.is64 ? 64 : 52)) throw refuse(headLength, "its header is cut short");

  const segments = readSegments(head, numbers, read, refuse);
  const kind = `${numbers.is64 ? 64 : 32}-${order === 1 ? "little" : "big"}-${numbers.u16(head, 18)}`;

  const interpreterAt = segments.find(({ type }) => type === segmentType.interpreter);
  if (interpreterAt !== undefined && interpreterAt.fileSize > limits.interpreterBytes)
    throw refuse(interpreterAt.offset, "the name of its interpreter is too long");
  const interpreter =
    interpreterAt && readText(read(interpreterAt.offset, interpreterAt.fileSize, "its interpreter"), 0);

  const dynamicAt = segments.find(({ type }) => type === segmentType.dynamic);
  if (dynamicAt === undefined) return { kind, needed: [], rpath: [], runpath: [], ...(interpreter && { interpreter }) };
  if (dynamicAt.fileSize > limits.dynamicBytes) throw refuse(dynamicAt.offset, "its dynamic section is too big");
  const dynamic = readDynamic(read(dynamicAt.offset, dynamicAt.fileSize, "its dynamic section"), numbers);

  const valuesOf = (wanted: number) => dynamic.filter((entry) => entry.tag === wanted).map((entry) => entry.value);
  const names = [tag.needed, tag.rpath, tag.runpath].map(valuesOf);
  let strings: Uint8Array = new Uint8Array(0);
  if (names.some((values) => values.length > 0)) {
    const [address, size] = [valuesOf(tag.stringTable)[0], valuesOf(tag.stringTableSize)[0]];
    if (address === undefined || size === undefined) throw refuse(dynamicAt.offset, "it has no table of strings");
    if (size > limits.stringBytes) throw refuse(dynamicAt.offset, "its table of strings is too big");
    const holder = segments.find(
      (segment) =>
        segment.type === segmentType.load && address >= segment.address && address < segment.address + segment.fileSize,
    );
    if (holder === undefined) throw refuse(dynamicAt.offset, "its table of strings is in no segment");
    strings = read(holder.offset + address - holder.address, size, "its table of strings");
  }
  const [needed = [], rpath = [], runpath = []] = names.map((values) =>
    values.map((offset) => {
      if (offset >= strings.length) throw refuse(dynamicAt.offset, "a name lies outside its table of strings");
      return readText(strings, offset);
    }),
  );
  return {
    kind,
    ...(interpreter && { interpreter }),
    needed,
    rpath: rpath.flatMap(splitDirectories),
    runpath: runpath.flatMap(splitDirectories),
  };
}

function readSegments(
  head: Uint8Array,
  numbers: Numbers,
  read: (offset: number, length: number, what: string) => Uint8Array,
  refuse: (offset: number, reason: string) => Error,
): Segment[] {
  const { is64 } = numbers;
  const tableOffset = numbers.word(head, is64 ? 32 : 28);
  const entrySize = numbers.u16(head, is64 ? 54 : 42);
  const count = numbers.u16(head, is64 ? 56 : 44);
  if (count === 0) return []; // an object file
  if (entrySize < (is64 ? 56 : 32) || count > limits.segments) throw refuse(is64 ? 54 : 42, "its segment table is odd");

  const table = read(tableOffset, entrySize * count, "its segment table");
  return Array.from({ length: count }, (_, index) => {
    const at = index * entrySize;
    return {
      type: numbers.u32(table, at),
      offset: numbers.word(table, at + (is64 ? 8 : 4)),
      address: numbers.word(table, at + (is64 ? 16 : 8)),
      fileSize: numbers.word(table, at + (is64 ? 32 : 16)),
    };
  });
}

function readDynamic(bytes: Uint8Array, numbers: Numbers): { readonly tag: number; readonly value: number }[] {
  const size = numbers.is64 ? 8 : 4;
  const entries: { tag: number; value: number }[] = [];
  for (let at = 0; at + 2 * size <= bytes.length; at += 2 * size) {
    const entry = { tag: numbers.word(bytes, at), value: numbers.word(bytes, at + size) };
    if (entry.tag === tag.end) break;
    entries.push(entry);
  }
  return entries;
}

function makeNumbers(is64: boolean, isLittle: boolean): Numbers {
  const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u32 = (bytes: Uint8Array, offset: number) => view(bytes).getUint32(offset, isLittle);
  return {
    is64,
    u16: (bytes, offset) => view(bytes).getUint16(offset, isLittle),
    u32,
    // What is past 2^53 loses digits here, but no file is that long: reading there fails as "outside the file".
    word: (bytes, offset) => (is64 ? Number(view(bytes).getBigUint64(offset, isLittle)) : u32(bytes, offset)),
  };
}

function readText(bytes: Uint8Array, offset: number): string {
  const end = bytes.indexOf(0, offset);
  return Buffer.from(bytes.subarray(offset, end < 0 ? bytes.length : end)).toString("utf8");
}

function splitDirectories(text: string): string[] {
  return text.split(":").filter((directory) => directory !== "");
}
