import { spawnSync } from "node:child_process";
import { lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type ElfFacts, readElf } from "../../../../daemon/definitions/elf.ts";
import { CloisterError } from "../../../../derivations/error.ts";
import { makeFolder } from "./folder.ts";

const hasReadelf = spawnSync("readelf", ["--version"]).status === 0;

/** Goal: what we read is what binutils reads. Method: programs and libraries of this host, as many as are quick. */
test("interpreter, libraries and run paths are those that readelf prints", ({ skip }) => {
  skip(!hasReadelf, "needs readelf");
  const files = ["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"].flatMap(
    (folder) => listFiles(folder).slice(0, 60),
  );
  let compared = 0;
  for (const file of files) {
    const facts = readElf(file);
    const expected = readWithReadelf(file);
    expect({ file, facts: facts && withoutKind(facts) }).toEqual({ file, facts: expected });
    if (facts !== undefined) compared += 1;
  }
  expect(compared).toBeGreaterThan(20);
});

test("a text file, an empty file and an archive are no ELF files", () => {
  using folder = makeFolder({ text: "#!/bin/sh\n", empty: "", archive: "!<arch>\n" });
  for (const name of ["text", "empty", "archive"]) expect(readElf(folder.at(name))).toBeUndefined();
});

/** Goal: a damaged file is refused by its code, never by a crash, an endless loop, or memory without bounds. */
test("any damage to an ELF file's head gives facts or ELF_INVALID", () => {
  using folder = makeFolder();
  const sound = readFileSync(process.execPath).subarray(0, 8192);
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: sound.length }),
      fc.array(fc.tuple(fc.nat(1023), fc.integer({ min: 0, max: 255 })), { maxLength: 8 }),
      (length, flips) => {
        const bytes = Buffer.from(sound.subarray(0, length));
        for (const [at, value] of flips) if (at >= 4 && at < length) bytes[at] = value;
        writeFileSync(folder.at("damaged"), bytes);
        try {
          readElf(folder.at("damaged"));
        } catch (error) {
          expect(error instanceof CloisterError ? error.code : error).toBe("ELF_INVALID");
        }
      },
    ),
    { numRuns: 300 },
  );
});

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .sort()
      .map((name) => join(folder, name))
      .filter((path) => lstatSync(path).isFile() && !path.endsWith(".a"));
  } catch {
    return []; // another machine's layout
  }
}

function withoutKind({ kind: _kind, ...facts }: ElfFacts) {
  return facts;
}

function readWithReadelf(file: string) {
  const { stdout } = spawnSync("readelf", ["--wide", "--dynamic", "--program-headers", file], { encoding: "utf8" });
  if (!stdout.includes("Dynamic section") && !stdout.includes("Program Headers") && !/no dynamic section/.test(stdout))
    return undefined;
  const values = (name: string) =>
    [...stdout.matchAll(new RegExp(`\\(${name}\\).*\\[(.*)\\]`, "g"))].map(([, value = ""]) => value);
  const interpreter = /Requesting program interpreter: (.*)\]/.exec(stdout)?.[1];
  return {
    ...(interpreter !== undefined && { interpreter }),
    needed: values("NEEDED"),
    rpath: values("RPATH").flatMap((each) => each.split(":")),
    runpath: values("RUNPATH").flatMap((each) => each.split(":")),
  };
}
