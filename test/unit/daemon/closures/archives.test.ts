import fc from "fast-check";
import { expect, test } from "vitest";
import { compareFiles } from "../../../../daemon/closures/compare-files.ts";
import { findReferences } from "../../../../daemon/closures/find-references.ts";
import { hashPartOf, parseStorePath } from "../../../../derivations/store-path.ts";
import { directoryNar, fileNar, inPieces, nar } from "../../../support/temporary-store.ts";

const reference = parseStorePath("0123456789abcdfghijklmnpqrsvwxyz-lib");
const needle = hashPartOf(reference);

test("a reference is found at its very byte, however the archive comes in pieces", async () => {
  const gap = fc.integer({ min: 0, max: 400 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(gap, { maxLength: 5 }),
      gap,
      fc.integer({ min: 1, max: 300 }),
      async (gaps, end, size) => {
        const offsets: number[] = [];
        let contents = "";
        for (const length of gaps) {
          contents += ".".repeat(length);
          offsets.push(contents.length);
          contents += needle;
        }
        contents += ".".repeat(end);
        const found = await findReferences(
          inPieces(directoryNar({ a: "x", b: contents, c: "y" }), size),
          reference,
          99,
        );
        expect(found.places.map(({ file, offset }) => [file, offset])).toEqual(offsets.map((offset) => ["b", offset]));
        expect(found.count).toBe(offsets.length);
        for (const { around } of found.places) expect(around).toContain(needle);
      },
    ),
    { numRuns: 200 },
  );
});

test("in a file that is the path itself, and in a link's target; not across two files", async () => {
  const inFile = await findReferences(inPieces(fileNar(`x${needle}`)), reference, 1);
  expect(inFile.places).toMatchObject([{ file: "", kind: "contents", offset: 1 }]);
  const link = nar([{ kind: "symlink", target: Buffer.from(`/cloister/store/${needle}-lib/a`) }]);
  expect((await findReferences(inPieces(link), reference, 1)).places).toMatchObject([{ kind: "link", offset: 16 }]);
  const split = directoryNar({ a: needle.slice(0, 16), b: needle.slice(16) });
  expect((await findReferences(inPieces(split), reference, 1)).count).toBe(0);
});

test("only the first places are kept, and all are counted", async () => {
  const found = await findReferences(inPieces(fileNar(needle.repeat(50))), reference, 3);
  expect(found).toMatchObject({ count: 50, places: [{ offset: 0 }, { offset: 32 }, { offset: 64 }] });
});

test("archives are compared file by file", async () => {
  const script = fileNar("#!", { executable: true });
  expect(await compareFiles(inPieces(fileNar("#!")), inPieces(script))).toEqual([
    { file: "", change: "changed", what: "executable", sizeBefore: 2, sizeAfter: 2 },
  ]);
  const before = directoryNar({ gone: "1", other: "22", same: "3" });
  const after = directoryNar({ came: "4444", other: "55", same: "3" });
  expect(await compareFiles(inPieces(before, 7), inPieces(after, 11))).toEqual([
    { file: "came", change: "added", sizeAfter: 4 },
    { file: "gone", change: "removed", sizeBefore: 1 },
    { file: "other", change: "changed", what: "contents", sizeBefore: 2, sizeAfter: 2 },
  ]);
  expect(await compareFiles(inPieces(before), inPieces(before))).toEqual([]);
});
