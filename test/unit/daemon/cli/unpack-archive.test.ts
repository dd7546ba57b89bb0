import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { unpackArchive } from "../../../../daemon/cli/unpack-archive.ts";
import { encodeNar } from "../../../support/small-nar.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cloister-unpack-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const unpack = (bytes: Uint8Array, pieceBytes = 10) =>
  unpackArchive(inPieces(bytes, pieceBytes), join(directory, "x-"));

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += pieceBytes) yield bytes.subarray(start, start + pieceBytes);
}

test("files, links and directories come out, with plain modes, below a directory that is closed to others", async () => {
  const archive = encodeNar({
    "a/long": "0123456789".repeat(20),
    "a/empty": "",
    run: { executable: "#!/bin/sh\n" },
    link: { target: "/etc/passwd" },
  });
  const build = await unpack(archive);
  expect(readFileSync(join(build, "a/long"), "utf8")).toBe("0123456789".repeat(20));
  expect(readFileSync(join(build, "a/empty"), "utf8")).toBe("");
  expect(readlinkSync(join(build, "link"))).toBe("/etc/passwd");
  const modes = ["", "a", "a/long", "run"].map((name) => lstatSync(join(build, name)).mode & 0o7777);
  expect(modes).toEqual([0o755, 0o755, 0o644, 0o755]);
  expect(statSync(join(build, "..")).mode & 0o777).toBe(0o700);
});

test("nothing is written through a link, whatever an archive says", async () => {
  const victim = join(directory, "victim");
  writeFileSync(victim, "as it was");
  // The name twice, as a link and as a file: no encoder of ours writes that, so the second name is changed afterwards.
  const bytes = encodeNar({ a: { target: victim }, b: "written" });
  bytes[bytes.lastIndexOf("b\0\0\0\0\0\0\0")] = 0x61;
  await expect(unpack(bytes)).rejects.toMatchObject({ code: "NAR_NAME_ORDER" });
  expect(readFileSync(victim, "utf8")).toBe("as it was");
});

test("names that lead elsewhere and archives that end too early are refused", async () => {
  const bytes = encodeNar({ aa: "x" });
  const up = Buffer.from(bytes);
  up.write("..", up.indexOf("aa\0\0"));
  await expect(unpack(up)).rejects.toMatchObject({ code: "NAR_NAME_INVALID" });
  await expect(unpack(bytes.subarray(0, bytes.length - 8))).rejects.toMatchObject({ code: "NAR_TRUNCATED" });
  expect(readdirSync(directory), "nothing is left of them").toEqual([]);
});
