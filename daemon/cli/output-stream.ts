/** Long output: bytes of the store or a log, written to stdout no faster than it is read. */
import type { ByteStream } from "../api/service.ts";
import type { Context } from "./context.ts";
import { TerminalCleaner } from "./terminal.ts";

/** With `raw` the bytes pass as they are; else every escape sequence but colours is taken out. */
export async function writeStream(stream: ByteStream, context: Context, options: { raw: boolean }): Promise<void> {
  const cleaner = new TerminalCleaner({ colours: context.colours });
  for await (const bytes of stream) await write(options.raw ? bytes : cleaner.push(bytes));
  if (!options.raw) await write(cleaner.end());
}

/** Resolves when stdout can take more; a reader that has gone (`| head`) is no error, it has seen enough. */
async function write(piece: Uint8Array | string): Promise<void> {
  if (piece.length === 0) return;
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(piece, (error) => {
      if (error === null || error === undefined) resolve();
      else if ((error as NodeJS.ErrnoException).code === "EPIPE") process.exit(0);
      else reject(error);
    });
  });
}
