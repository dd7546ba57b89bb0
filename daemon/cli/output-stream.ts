/**
 * What goes to stdout and stderr. A reader that has gone (`| head`) is no error: it has seen enough, so what would
 * still be written to it is dropped, and the command goes on to its end and its own exit status.
 */
import type { ByteStream } from "../api/service.ts";
import type { Context } from "./context.ts";
import type { Pager } from "./pager.ts";
import { TerminalCleaner } from "./terminal.ts";

const gone = new WeakSet<NodeJS.WriteStream>();

/** To be called once, before anything is written. */
export function tolerateGoneReaders(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      gone.add(stream);
    });
}

export function writeLine(stream: NodeJS.WriteStream, line: string): void {
  if (printAbove !== undefined && stream.isTTY === true) printAbove(line);
  else if (!gone.has(stream)) stream.write(`${line}\n`);
}

let printAbove: ((line: string) => void) | undefined;

/** While something is painted at the end of the terminal, lines for it go through there; undefined: nothing is. */
export function divertLines(print: ((line: string) => void) | undefined): void {
  printAbove = print;
}

/**
 * Bytes of the store or a log, written to stdout no faster than it is read. With `raw` they pass as they are; else
 * every escape sequence but colours is taken out, and on a terminal the last line is ended.
 */
export async function writeStream(
  stream: ByteStream,
  context: Context,
  options: { raw: boolean; pager?: Pager | undefined },
): Promise<void> {
  const { pager } = options;
  const write = (piece: Uint8Array | string) => (pager === undefined ? writeOut(piece) : pager.write(piece));
  const cleaner = new TerminalCleaner({ colours: context.coloursOut });
  let last = "\n";
  const show = async (text: string): Promise<boolean> => {
    last = text.at(-1) ?? last;
    return write(text);
  };
  for await (const bytes of stream) if (!(await (options.raw ? write(bytes) : show(cleaner.push(bytes))))) return;
  if (!options.raw) await show(cleaner.end());
  if (process.stdout.isTTY === true && last !== "\n") await write("\n");
}

/** Resolves when stdout can take more; false if nobody reads any more. */
async function writeOut(piece: Uint8Array | string): Promise<boolean> {
  if (gone.has(process.stdout)) return false;
  if (piece.length === 0) return true;
  return await new Promise((resolve, reject) => {
    process.stdout.write(piece, (error) => {
      if (error === null || error === undefined) resolve(true);
      else if ((error as NodeJS.ErrnoException).code === "EPIPE") resolve(false);
      else reject(error);
    });
  });
}
