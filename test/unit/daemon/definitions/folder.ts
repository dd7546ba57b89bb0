/** A temporary folder filled from a table, gone with its scope. */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface Folder extends Disposable {
  readonly path: string;
  at(name: string): string;
  write(files: Files): void;
}

/** Text by file name; a text that begins with `-> ` makes a symbolic link, one that begins with `#!` an executable. */
export type Files = Readonly<Record<string, string>>;

export function makeFolder(files: Files = {}): Folder {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "cloister-definitions-")));
  const folder: Folder = {
    path,
    at: (name) => join(path, name),
    write(more) {
      for (const [name, text] of Object.entries(more)) {
        const place = join(path, name);
        mkdirSync(dirname(place), { recursive: true });
        if (text.startsWith("-> ")) symlinkSync(text.slice(3), place);
        else writeFileSync(place, text);
        if (text.startsWith("#!")) chmodSync(place, 0o755);
      }
    },
    [Symbol.dispose]() {
      makeRemovable(path);
      rmSync(path, { recursive: true, force: true });
    },
  };
  folder.write(files);
  return folder;
}

/** Directories of a store are read-only, which stops whoever is not root. */
function makeRemovable(top: string): void {
  const directories = [top];
  for (const directory of directories) {
    chmodSync(directory, 0o700);
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) directories.push(join(directory, entry.name));
  }
}
